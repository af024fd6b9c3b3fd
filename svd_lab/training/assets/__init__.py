"""Build what ships: the atlas of things, the example pictures, more designs of things for training."""

"""Builders of the atlas of things, the example pictures, and more pictures of things for training."""

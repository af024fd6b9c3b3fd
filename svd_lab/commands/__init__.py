"""The `svd-lab` command: one file a command."""

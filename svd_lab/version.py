"""The version, in one place: recipes, `svd-lab check` and the build read it."""

__version__ = "0.1.0"

"""Measure a version: scene by scene, with errors, against another version."""

"""Measurements of the miniatures: quality, cost, memory, and how sure a difference is."""

"""The same video faster and in less memory: speed levels, placements, counting, estimates, benchmarks. Knows no model by name."""

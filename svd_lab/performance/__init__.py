"""The same video sooner and in less memory: speed levels, memory placement, counting, estimates, benchmarks. Knows no models by name."""

"""What all stages share: options, clock, data pools, background workers, sampling, the optimiser, checkpoints."""

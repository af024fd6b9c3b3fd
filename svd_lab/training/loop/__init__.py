"""What all training stages share: a timed stretch, the bank of latents, render workers, sampling, the optimiser."""

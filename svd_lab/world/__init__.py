"""The renderer: short clips of moving things with known truth, vectorised in torch, and the measures of a clip against it."""

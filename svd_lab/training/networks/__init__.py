"""The miniatures' networks, and the fused blocks with which training runs them."""

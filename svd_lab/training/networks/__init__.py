"""The miniatures' networks, and the faster equivalents that training runs."""

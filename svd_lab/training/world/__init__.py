"""The worlds that training draws from, more varied than the one that is measured."""

"""Grids of searches: methods, datasets and both, on shared worker groups."""

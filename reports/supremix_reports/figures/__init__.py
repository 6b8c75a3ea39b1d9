"""Figures: the plot and its parts, and those that belong to no search or model."""

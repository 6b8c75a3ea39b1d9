"""Synthetic images in the official layout of each dataset, with labels that are known exactly."""

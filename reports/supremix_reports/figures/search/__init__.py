"""Figures about a search: trials, curves, importance and sensitivity of the hyperparameters."""

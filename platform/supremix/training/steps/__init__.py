"""Optimisation steps of a stage: contrastive, regression, gradient caching."""

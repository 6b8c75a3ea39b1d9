"""Prediction intervals and bias correction, calibrated on held-out patients."""

"""A run seen from outside, while another process works on it."""

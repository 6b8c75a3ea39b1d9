"""Learning curves: convergence of a training, and searches in other orders."""

"""The study: proposals, pruning, budget, warm start."""

"""What several losses share: checks, kernels, distances, ranks, draws."""

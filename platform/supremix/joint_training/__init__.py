"""Training one encoder on several datasets at once: the request, its driver, its report."""

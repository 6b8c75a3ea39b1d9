"""Methods: their stages, losses and configurations."""

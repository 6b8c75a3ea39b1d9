"""What to try and what to stop: study, ledger, simulation. Knows Optuna, and no Ray."""

"""The tuning of hyperparameters: study, ledger, pruners, simulation. Knows Optuna, and no Ray."""

"""The search: its ledger, the study that decides, and Ray Tune that carries it out."""

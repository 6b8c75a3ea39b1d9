"""The SupReMix loss: its formula, and two ways to evaluate it."""

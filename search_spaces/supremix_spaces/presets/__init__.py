"""The space of each method, made from the facts of a dataset."""

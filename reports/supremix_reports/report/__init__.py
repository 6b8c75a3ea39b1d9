"""The report on runs: what it is made from, its sections, its files."""

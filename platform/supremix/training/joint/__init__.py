"""Joint training of several datasets, step by step."""

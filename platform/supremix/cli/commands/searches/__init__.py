"""The commands that search, or say what a search would cost."""

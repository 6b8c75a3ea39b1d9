"""The user's own images with a table: its description, its rows, its card."""

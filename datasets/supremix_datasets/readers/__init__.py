"""One reader for each official layout; the user's own table is in `own_table`."""

"""One reader for each official layout; the user's own table lies in `own_table`."""

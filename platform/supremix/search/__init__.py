"""A search, from its specification to its last file."""

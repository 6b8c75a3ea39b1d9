"""Plans: the time and memory of a search, measured before it starts."""

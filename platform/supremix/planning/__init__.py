"""Plans: what a search will take, measured before it starts."""

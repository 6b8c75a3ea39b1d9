"""Parameters of a space: their types, values, notation and stored form."""

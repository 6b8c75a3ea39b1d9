"""Methods against each other: differences, gains, tests, ranks."""

"""A search in virtual time, for tests of the search itself."""

"""Options, their values, and the dispatch to the Python interface."""

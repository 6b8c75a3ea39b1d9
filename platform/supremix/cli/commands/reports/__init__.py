"""The commands that show the results of runs."""

"""The summary of a run, of a comparison, of several datasets, of a benchmark."""

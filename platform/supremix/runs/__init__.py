"""The run folder, and the result that it holds."""

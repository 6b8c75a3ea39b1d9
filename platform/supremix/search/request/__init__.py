"""The options of a request: each declared once, for command line, Python, files and docs."""

"""A report as text, HTML, Markdown and LaTeX."""

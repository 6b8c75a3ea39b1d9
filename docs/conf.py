"""The documentation site: the pages of this folder, and the reference made from the docstrings."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

import supremix
import supremix_reports

project = "supremix"
copyright = "the supremix authors"
release = metadata.version("supremix")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"supremix {release}"

myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository, which are no pages

autodoc_member_order = "bysource"
default_role = "code"  # the docstrings are written for readers of the code: `name` is code
napoleon_numpy_docstring = False


# What is loaded on first use is loaded now, so that the reference finds it.
for package in (supremix, supremix_reports):
    vars(package).update({name: getattr(package, name) for name in package.__all__})

BAR = re.compile(r"(`+[^`]*`+)|\|")  # code stays as it is


def setup(app: Any) -> None:
    """Let |x| in a docstring be the magnitude of x, not a substitution of reStructuredText."""
    app.connect("autodoc-process-docstring", _keep_bars)


def _keep_bars(
    _app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    lines[:] = [BAR.sub(lambda found: found[1] or r"\|", line) for line in lines]

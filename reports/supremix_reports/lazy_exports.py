"""The public names of a package, loaded when they are first used.

The stub `__init__.pyi` of the package declares each name once, as type checkers read it:
`from package.module import name as name`. The same lines say at run time which module to import, so
that importing the package alone imports nothing else (Scientific Python's SPEC 1).
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazy_exports(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return the `__getattr__`, the `__dir__` and the `__all__` of a package.

    Args:
        package: Name of the package, its `__name__`.
        file: Path of its `__init__.py`, next to the stub `__init__.pyi`.
    """
    modules = {
        alias.name: node.module or package
        for node in ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    names = sorted(modules)
    return load, lambda: names, names

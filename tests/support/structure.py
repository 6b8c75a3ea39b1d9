"""The imports of the four source roots, read from the sources; importing nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = {
    "supremix": REPOSITORY / "platform" / "supremix",
    "supremix_spaces": REPOSITORY / "search_spaces" / "supremix_spaces",
    "supremix_datasets": REPOSITORY / "datasets" / "supremix_datasets",
    "supremix_reports": REPOSITORY / "reports" / "supremix_reports",
}
Graph = Mapping[str, frozenset[str]]


def within(module: str, room: str) -> bool:
    """Whether a module is a room or lies in it."""
    return module == room or module.startswith(room + ".")


def modules() -> dict[str, Path]:
    """Dotted name of every module to its file; a package has its own name."""
    found: dict[str, Path] = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


def package_of(module: str, path: Path) -> str:
    """The package that a module lies in; a package lies in itself."""
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def imports(source: str, package: str = "") -> set[str]:
    """Every module named by an import statement, wherever it stands in the file.

    Args:
        source: Text of the file.
        package: Package that the file lies in; relative imports start there.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # `from supremix import losses` names a module by its member, so both are kept.
            module = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                module = ".".join([*above, *filter(None, [module])])
            if any(within(module, package) for package in PACKAGES):
                names |= {f"{module}.{alias.name}" for alias in node.names}
            else:
                names.add(module)
    return names


@cache
def graph(package: str) -> dict[str, frozenset[str]]:
    """Every module of a package to the modules of it that it imports, anywhere in its file.

    The package's own front door is left out: it is the way in for users, not for its rooms.
    """
    known = modules()
    ours = {module for module in known if within(module, package) and module != package}
    return {
        module: frozenset(
            target
            for name in imports(known[module].read_text(), package_of(module, known[module]))
            if (target := longest(name, ours)) is not None and target != module
        )
        for module in ours
    }


def longest(name: str, known: Iterable[str]) -> str | None:
    """The longest of the known modules that a dotted name begins with."""
    parts = name.split(".")
    candidates = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((candidate for candidate in candidates if candidate in known), None)


def siblings(package: str, folder: str) -> dict[str, frozenset[str]]:
    """The graph of what lies side by side in a folder: its files and its folders, each as one.

    Args:
        package: One of `PACKAGES`.
        folder: Dotted name of the package itself, or of a package in it.
    """
    depth = len(folder.split(".")) + 1

    def child(module: str) -> str:
        return ".".join(module.split(".")[:depth])

    found: dict[str, set[str]] = {}
    for module, targets in graph(package).items():
        if within(module, folder) and module != folder:
            inside = {child(t) for t in targets if within(t, folder) and t != folder}
            found.setdefault(child(module), set()).update(inside - {child(module)})
    return {name: frozenset(targets) for name, targets in found.items()}


def folders(package: str) -> list[str]:
    """Dotted names of a package and of all packages in it."""
    found = modules().items()
    return [m for m, path in found if path.name == "__init__.py" and within(m, package)]


def circles(of: Graph) -> list[list[str]]:
    """The groups of nodes that reach each other (strongly connected, more than one)."""
    reach = {node: _reached(of, node) for node in of}
    groups = {
        tuple(sorted({node, *(o for o in reach[node] if node in reach.get(o, ()))})) for node in of
    }
    return sorted(list(group) for group in groups if len(group) > 1)


def _reached(of: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(of[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += of.get(node, ())
    return seen


def floors(of: Graph) -> dict[str, int]:
    """The floor of every node, one above the highest that it imports; no circle."""
    found: dict[str, int] = {}

    def floor(node: str) -> int:
        if node not in found:
            found[node] = 1 + max((floor(target) for target in of[node]), default=0)
        return found[node]

    for node in of:
        floor(node)
    return found


def sizes(package: str) -> dict[str, int]:
    """Modules side by side in every folder, its `__init__` left out."""
    counted: dict[str, int] = {}
    for module, path in modules().items():
        if within(module, package) and path.name != "__init__.py":
            counted[package_of(module, path)] = counted.get(package_of(module, path), 0) + 1
    return counted

"""Print the lower bound of every dependency as a pip constraint, for `make lowest`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement


def main() -> None:
    """Read pyproject.toml in the current folder and print one ``name==bound`` a line."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *extras["test"]]:
        requirement = Requirement(line)
        bounds = [s.version for s in requirement.specifier if s.operator in {">=", "=="}]
        print(f"{requirement.name}~={bounds[0]}.0")


if __name__ == "__main__":
    main()

"""The Python files that a page of the documents has one paste, and a shell to run them in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "own-parts.md"
_BLOCK = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)


def paste(page: Path, folder: Path) -> list[str]:
    """Write each block of a page into the file that its first line names; the names, in order."""
    blocks = _BLOCK.findall(page.read_text())
    for name, code in blocks:
        (folder / name).write_text(code)
    return [name for name, _ in blocks]


def run_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder whose modules can be imported, as with ``PYTHONPATH=.``."""
    path = os.pathsep.join([str(folder), *sys.path])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def supremix_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in such a folder."""
    return run_python(folder, "-m", "supremix.cli", *arguments)

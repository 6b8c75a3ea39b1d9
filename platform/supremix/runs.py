"""The run folder: everything a search leaves behind, and where each thing lies in it.

::

    spec.json            what was asked for
    environment.json     versions, hardware, seed, the command
    ledger.jsonl         what happened, event by event: the truth of the run
    journal.log          Optuna's journal (for optuna-dashboard), rebuilt from the ledger
    trials.parquet       a row a trial
    curves.parquet       a row a trial and epoch
    predictions.parquet  a row a sample: best trial on validation, final model on test
    mae.parquet          a row a split and metric, with its interval, also by label density
    measures.parquet     a row a trial, epoch and measure of its representation
    embedding.png        the best trial's features on validation, coloured by label
    init/                the model that trials set out from, where one was named
    best/                the model: model.safetensors and model.json
    checkpoints/         trials under way, and the best one
    summary.md           the result on a page
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from supremix.errors import RunFolderError
from supremix.training.export import DESCRIPTION, WEIGHTS
from supremix.training.transfer import Initial
from supremix_reports import EMBEDDING

_PACKAGES = (
    "supremix", "torch", "ray", "optuna", "monai", "numpy", "pyarrow", "polars", "pandas", "fsspec",
)  # fmt: skip


COMPARISON = "comparison.json"
"""In the folder of a comparison: which methods have their runs in there."""


class RunFolder:
    """Paths and small files of one run.

    Args:
        path: The folder; a local path.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.ledger = self.path / "ledger.jsonl"
        self.journal = self.path / "journal.log"
        self.model = self.path / "best"
        self.checkpoints = self.path / "checkpoints"
        self.summary = self.path / "summary.md"
        self.spec = self.path / "spec.json"
        self.embedding = self.path / EMBEDDING
        self.init = self.path / "init"
        self.environment = self.path / "environment.json"

    @property
    def name(self) -> str:
        """Name of the run, as it stands in the tables: a comparison's stands before its own."""
        among = self.path.parent
        return f"{among.name}/{self.path.name}" if is_comparison(among) else self.path.name

    def create(self, spec: Mapping[str, Any]) -> None:
        """Make the folder for a new run.

        Raises:
            RunFolderError: The folder holds something already.
        """
        check_new(self.path)
        self.checkpoints.mkdir(parents=True)
        write_json(self.spec, spec)

    def remove(self) -> None:
        """Delete the folder, of a search that never began."""
        shutil.rmtree(self.path)

    def read_spec(self) -> dict[str, Any]:
        """The specification of an existing run.

        Raises:
            RunFolderError: The folder is not that of a search.
        """
        if is_comparison(self.path):
            raise RunFolderError(
                f"{self.path} is the folder of a comparison. Each of its methods has a run of its "
                "own in there: name one of those, or take supremix.Comparison."
            )
        if not self.spec.is_file():
            raise RunFolderError(
                f"{self.path} has no spec.json, so it is not the folder of a search (or the "
                "search ended before it began). Name the folder that 'supremix search' printed."
            )
        try:
            return json.loads(self.spec.read_text())
        except ValueError as error:
            raise RunFolderError(f"{self.spec} is damaged: {error}. Start a new search.") from error

    def keep_init(self, model: Path) -> str:
        """Copy the model that trials set out from into the run, once, and return where it lies.

        So a resumed search starts from the same, and every node that sees the run sees it.

        Raises:
            TaskError: There is no model.
        """
        if not self.init.is_dir():
            Initial.read(model)
            draft = self.path / ".init"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            for name in (WEIGHTS, DESCRIPTION):
                shutil.copyfile(model / name, draft / name)
            draft.rename(self.init)
        return str(self.init)

    def sweep(self, keep: set[str]) -> None:
        """Delete the checkpoints of trials that need none any more, and what is left of drafts.

        A worker may be writing meanwhile: drafts of the trials to keep are its own, and a draft of
        another may become a checkpoint between the look and the deletion.
        """
        for file in self.checkpoints.glob("*.pt*"):
            if file.name.lstrip(".").split(".")[0] not in keep:
                file.unlink(missing_ok=True)


def is_comparison(folder: Path) -> bool:
    """Whether methods are compared in the folder."""
    return (folder / COMPARISON).is_file()


def check_new(folder: Path) -> None:
    """Check that a folder can be taken for something new.

    Raises:
        RunFolderError: It holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunFolderError(
            f"{folder} is not empty. Go on with it by --resume {folder}, or name another folder "
            "for a new run."
        )


def new_run_folder(dataset: str, method: str) -> Path:
    """A folder below ``runs/`` named by dataset, method and time, that does not exist yet."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    base = Path("runs") / f"{dataset}-{method}-{stamp}"
    number, path = 1, base
    while path.exists():
        number += 1
        path = base.with_name(f"{base.name}-{number}")
    return path


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file so that a killed process leaves the old one or the new one, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(temporary, path)


def describe_environment(nodes: list[Mapping[str, float]], **more: Any) -> dict[str, Any]:
    """What the numbers of a run may depend on beside its specification."""
    return {
        "command": " ".join(sys.argv),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "nodes": [{k: n[k] for k in ("CPU", "GPU", "memory") if k in n} for n in nodes],
        "packages": {name: _version(name) for name in _PACKAGES},
        **more,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

"""The run folder: everything a search leaves behind, and where each thing lies in it.

::

    spec.json            what was asked for
    space.json           what is searched
    length.json          epochs, steps and images seen of a trial, as prolonged
    environment.json     versions, hardware, seed, the command
    ledger.jsonl         what happened, event by event: the truth of the run; in a bucket a
                         folder "ledger" instead
    logs/                a log a trial
    trials.parquet       a row a trial
    curves.parquet       a row a trial and epoch
    predictions.parquet  a row a sample: best trial on validation, final model on test
    predictions/         the same, a file each time that a worker predicted a split
    mae.parquet          a row a split and metric, with its interval, also by label density
    measures.parquet     a row a trial, epoch and measure of its representation
    cohort.parquet       patients, labels and covariates by split, and what was excluded
    embedding.parquet    a row a sample: the best trial's features, as two principal components
    embedding.png        the best trial's features on validation, coloured by label
    pretrained/          the model that trials start from, where one was named
    intervals.parquet    a row a kind and level of prediction intervals: coverage on test
    best/                the model: model.safetensors, model.json, calibration.json; in networks/
                         those of further seeds
    checkpoints/         trials under way, and the best one
    summary.md           the result on a page

It may lie at any address that fsspec knows, such as ``s3://bucket/runs/first``.
"""

from __future__ import annotations

import contextlib
import json
import platform
import shlex
import sys
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from upath import UPath

from supremix.errors import RunFolderError, SearchInterrupted
from supremix.runs.grids import grid_kind, run_name
from supremix.storage.paths import (
    Address,
    children,
    discard,
    discard_tree,
    in_bucket,
    is_local,
    probe,
    read_bytes,
    to_path,
    write_bytes,
)
from supremix.storage.retry import failures, may_pass, storage_errors, with_retries
from supremix.training.artifacts.format import DESCRIPTION, NETWORKS, WEIGHTS
from supremix.training.artifacts.pretrained import Initial
from supremix_reports import EMBEDDING

_PACKAGES = (
    "supremix", "torch", "ray", "optuna", "monai", "numpy", "pyarrow", "polars", "pandas", "fsspec",
    "universal-pathlib",
)  # fmt: skip


def final_key(seed_index: int, dataset_index: int | None = None) -> str:
    """Key and checkpoint name of a final training, on training and validation data.

    Args:
        seed_index: Index of its seed among the test seeds.
        dataset_index: Index of its dataset, with a joint objective.
    """
    name = f"final-{seed_index}" if seed_index else "final"
    return name if dataset_index is None else f"{name}.{dataset_index}"


class RunFolder:
    """The paths and small files of one run.

    Args:
        address: The folder: a local path, or an fsspec address.

    Raises:
        RunFolderError: Nothing here can open such an address.
    """

    def __init__(self, address: Address) -> None:
        self.path = to_path(address)
        self.ledger = self._ledger()
        self.model = self.path / "best"
        self.checkpoints = self.path / "checkpoints"
        self.summary = self.path / "summary.md"
        self.spec = self.path / "spec.json"
        self.space = self.path / "space.json"
        self.logs = self.path / "logs"
        self.predictions = self.path / "predictions"
        self.embedding = self.path / EMBEDDING
        self.pretrained = self.path / "pretrained"
        self.environment = self.path / "environment.json"
        self.length = self.path / "length.json"

    def _ledger(self) -> UPath:
        """A file on a disk; segments at a remote address, and in a copy of a run from there."""
        file, segments = self.path / "ledger.jsonl", self.path / "ledger"
        one_file = is_local(self.path) and (file.exists() or not segments.is_dir())
        return file if one_file else segments

    @property
    def name(self) -> str:
        """Name of the run as it stands in the tables, after that of the grid it is part of."""
        return run_name(self.path)

    def network(self, index: int) -> str:
        """Folder of the model of a seed: the first one is the model of the run."""
        return str(self.model / NETWORKS / str(index) if index else self.model)

    def create(self, spec: Mapping[str, Any]) -> None:
        """Make the folder for a new run.

        Raises:
            RunFolderError: The folder holds something already, or cannot be written to.
        """
        check_new(self.path)
        probe(self.path)
        with storage_errors(str(self.path)):
            if not in_bucket(self.path):
                self.checkpoints.mkdir(parents=True, exist_ok=True)
        write_json(self.spec, spec)

    def remove(self) -> None:
        """Delete the folder, of a search that never began."""
        with storage_errors(str(self.path)):
            discard_tree(self.path)

    def read_spec(self) -> dict[str, Any]:
        """The specification of an existing run.

        Raises:
            RunFolderError: The folder is not that of a search.
        """
        kind = grid_kind(self.path)
        if kind is not None:
            raise RunFolderError(
                f"{self.path} is the folder of {kind.title}. Its searches have runs of their own "
                f"in there ({kind.run('DATASET', 'METHOD') or 'fold-0'}): name one of those, or "
                f"take supremix.{kind.interface}."
            )
        with storage_errors(str(self.path)):
            if not self.spec.is_file():
                raise RunFolderError(
                    f"{self.path} has no spec.json, so it is not the folder of a search (or the "
                    "search ended before it began). Name the folder that 'supremix search' printed."
                )
        return read_json(self.spec)

    def has_pretrained(self) -> bool:
        """Whether the model that trials start from is there and complete."""
        with storage_errors(str(self.pretrained)):
            return (self.pretrained / DESCRIPTION).is_file()

    def keep_pretrained(self, model: UPath) -> str:
        """Copy the model that trials start from into the run, once, and return where it lies.

        So a resumed search starts from the same, and every node that sees the run sees it.

        Raises:
            TaskError: There is no model.
        """
        if not self.has_pretrained():
            Initial.read(model)
            both = (WEIGHTS, DESCRIPTION)
            self.keep_weights(
                with_retries(lambda: {n: read_bytes(model / n) for n in both}, str(model))
            )
        return str(self.pretrained)

    def keep_weights(self, files: Mapping[str, bytes]) -> None:
        """Write the two files of the model that trials start from.

        Args:
            files: Their contents by name.
        """

        def write() -> None:
            # The description last: a folder with one has its weights.
            for name in (WEIGHTS, DESCRIPTION):
                write_bytes(self.pretrained / name, files[name])

        with_retries(write, str(self.pretrained))

    def sweep(self, keep: set[str], *, wait: bool = False) -> None:
        """Delete the checkpoints of trials that need none any more, and what is left of drafts.

        A worker may be writing meanwhile: drafts of the trials to keep are its own, and a draft of
        another may become a checkpoint between the look and the deletion. While the storage fails
        they are left for the next time; with `wait`, at the end of a search, it is waited for.
        """
        if wait:
            with_retries(lambda: self._sweep(keep), str(self.checkpoints))
            return
        try:
            self._sweep(keep)
        except failures() as error:
            if not may_pass(error):
                raise

    def _sweep(self, keep: set[str]) -> None:
        for file in children(self.checkpoints):
            # A joint trial has a file for each dataset: NAME.0.pt, NAME.1.pt …
            if ".pt" in file.name and file.name.lstrip(".").split(".")[0] not in keep:
                discard(file)


@contextlib.contextmanager
def removed_if_refused(remove: Callable[[], None]) -> Generator[None]:
    """Keep the folder of a request that fails before its work begins free for the corrected one.

    Args:
        remove: Removes what was created for the request, unless work on it has begun. It is not
            called when the work is interrupted, which can be resumed.
    """
    try:
        yield
    except SearchInterrupted:
        raise
    except Exception:
        remove()
        raise


def check_new(folder: Address) -> None:
    """Check that a folder can be taken for something new.

    Raises:
        RunFolderError: It holds something already, or its storage cannot be read.
    """
    path = to_path(folder)
    with storage_errors(str(path)):
        taken = next(children(path), None) is not None or path.is_file()
    if taken:
        raise RunFolderError(
            f"{path} is not empty. Go on with it by --resume {path}, or name another folder "
            "for a new run."
        )


def new_run_folder(dataset: str, method: str, base: Address = "runs") -> UPath:
    """A folder below `base` named by dataset, method and time, that does not exist yet.

    Args:
        dataset: Name of the dataset.
        method: Name of the method.
        base: A local folder or an fsspec address.

    Raises:
        RunFolderError: The storage cannot be read.
    """
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    first = to_path(base) / f"{dataset}-{method}-{stamp}"
    number, path = 1, first
    with storage_errors(str(first.parent)):
        while path.exists():
            number += 1
            path = first.with_name(f"{first.name}-{number}")
    return path


def write_json(path: UPath, content: Mapping[str, Any]) -> None:
    """Write a JSON file so that a killed process leaves the old one or the new one, never half.

    Storage that fails for a while is waited for.

    Raises:
        RunFolderError: It fails for too long, or refuses.
    """
    data = (json.dumps(content, indent=2) + "\n").encode()
    with storage_errors(str(path)):
        with_retries(lambda: write_bytes(path, data), str(path))


def write_json_once(path: UPath, content: Mapping[str, Any]) -> None:
    """Write a JSON file where there is none yet: a resumed run keeps what it began with.

    Raises:
        RunFolderError: The storage fails for too long, or refuses.
    """
    with storage_errors(str(path)):
        known = path.exists()
    if not known:
        write_json(path, content)


def read_json(path: UPath) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Raises:
        RunFolderError: It is damaged, or cannot be read.
    """
    try:
        with storage_errors(str(path)):
            return json.loads(read_bytes(path))
    except ValueError as error:
        raise RunFolderError(f"{path} is damaged: {error}. Start a new search.") from error


def describe_environment(nodes: list[Mapping[str, float]], **more: Any) -> dict[str, Any]:
    """The conditions that the numbers of a run may depend on besides its specification."""
    return {
        "command": shlex.join(sys.argv),
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

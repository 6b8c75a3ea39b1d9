"""Run folders with the events that a test names, written without any search."""

from __future__ import annotations

import json
from typing import Any

from supremix.runs.folder import RunFolder
from supremix.storage.paths import Address, to_path, write_bytes
from supremix.tuning.ledger.ledger import Ledger
from supremix_spaces import Choice, Fixed, Float, Int, Space

SPACE = Space(
    {
        "lr": Float(1e-4, 1.0, log=True),
        "batch_size": Choice((8, 16, None)),
        "weight_decay": Int(1, 3),
        "schedule": Fixed("constant"),
    }
)
CONFIG: dict[str, Any] = {"lr": 0.01, "batch_size": 16, "weight_decay": 2, "schedule": "constant"}


def session(
    worker_groups: int = 2, *, gpus: float = 0.0, time: float = 1_000_000.0
) -> dict[str, Any]:
    return {
        "event": "session",
        "worker_groups": worker_groups,
        "workers": 1,
        "cpus": 1,
        "gpus": gpus,
        "time": time,
    }


def trial(number: int, clock: float = 0.0, **more: Any) -> dict[str, Any]:
    told = {"config": CONFIG, "replicate_of": None, "seed": 5, **more}
    return {"event": "trial", "clock": clock, "number": number, **told}


def epoch(
    number: int, at: int, error: float, clock: float = 0.0, *, total: int = 4, seconds: float = 5.0
) -> dict[str, Any]:
    row = {"epoch": at, "stage": "regress", "error": error, "loss": 0.5, "lr": 0.01}
    row["seconds"] = seconds
    return {"event": "epoch", "clock": clock, "number": number, "row": row, "total": total}


def end(
    number: int, state: str, at: int, clock: float = 0.0, reason: str | None = None
) -> dict[str, Any]:
    told = {"state": state, "reason": reason, "epoch": at}
    return {"event": "end", "clock": clock, "number": number, **told}


def final(number: int, clock: float = 0.0) -> dict[str, Any]:
    return {"event": "final", "trial": number, "predictions": {}, "clock": clock}


def append(run: RunFolder, *events: dict[str, Any]) -> None:
    with Ledger(run.ledger) as ledger:
        for event in events:
            ledger.append(event["event"], **{k: v for k, v in event.items() if k != "event"})


def write_run(folder: Address, *events: dict[str, Any], **spec: Any) -> RunFolder:
    """A run folder with a ledger; the dataset is hc18 and the method l1 unless `spec` says else."""
    run = RunFolder(folder)
    run.create({"dataset": "hc18", "method": "l1", "trials": 4, **spec})
    write_bytes(run.path / "space.json", json.dumps(SPACE.to_dict()).encode())
    if events:
        append(run, *events)
    return run


def write_index(folder: Address, name: str, **content: Any) -> None:
    write_bytes(to_path(folder) / name, json.dumps(content).encode())

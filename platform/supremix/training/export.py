"""Writing a trained network to two files that hold no code."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file
from torch import Tensor

from supremix.models import BinnedHead

if TYPE_CHECKING:
    from supremix.training.run import TrialRun

FORMAT = 1
WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"


def export_model(path: str | os.PathLike[str], run: TrialRun) -> None:
    """Write model.safetensors and model.json of a run into a folder, each whole or not at all.

    The description comes last, so a folder with one has its weights. The projection head, of no
    use after training, is left out.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / WEIGHTS, lambda draft: save_file(_weights(run.network.state_dict()), draft))
    text = json.dumps(describe(run), indent=1, sort_keys=True)
    _replace(folder / DESCRIPTION, lambda draft: Path(draft).write_text(text))


def describe(run: TrialRun) -> dict[str, Any]:
    """What is needed beside the weights to rebuild the network and use it, as plain values."""
    task, data, head = run.task, run.data, run.network.head
    return {
        "format": FORMAT,
        "card": data.card.to_dict(),
        "dataset": data.store.manifest.get("dataset", data.card.name),
        "encoder": task.encoder.to_dict(),
        "fusion": task.fusion,
        "bins": head.out_features if isinstance(head, BinnedHead) else None,
        "target": asdict(data.target_scale),
        "covariates": asdict(data.covariate_scale),
        "flips": task.flips,
        "method": run.method.name,
        "config": asdict(run.config),
        "epoch": run.epoch,
        "seed": task.seed,
        "fit_on": list(task.fit_on),
    }


def _weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kept = {n: t for n, t in state.items() if not n.startswith("projection.")}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}


def _replace(target: Path, write: Any) -> None:
    draft = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    try:
        write(str(draft))
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)

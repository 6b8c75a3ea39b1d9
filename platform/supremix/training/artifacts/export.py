"""Writing a trained network, with facts of its training, to two files that hold no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from safetensors.torch import save
from torch import Tensor, nn

from supremix.methods.base import Method
from supremix.models import BinnedHead, Network
from supremix.storage.paths import Address, to_path, write_bytes
from supremix.storage.retry import WORKER_PATIENCE, with_retries
from supremix.training.artifacts.format import DESCRIPTION, FORMAT, REFERENCE, WEIGHTS
from supremix.training.artifacts.training_facts import training_facts
from supremix.training.data.trial_data import TrialData
from supremix.training.task import Task


class ExportableRun(Protocol):
    """The attributes of a run that an export needs; `TrialRun` has them."""

    task: Task
    method: Method
    config: Any
    data: TrialData
    ema_model: Network
    epoch: int


def export_model(address: Address, run: ExportableRun) -> None:
    """Write model.safetensors and model.json of a run into a folder, each whole or not at all.

    The description comes last, so a folder with one has its weights. The projection head, of no
    use after training, is left out; facts of the training data go along, see `training_facts`.
    Storage that fails for a while is waited for.

    Args:
        address: Path or fsspec address of the folder, which is made when missing.
        run: The trained run.

    Raises:
        RunFolderError: the storage went on failing for `WORKER_PATIENCE` seconds.
        OSError: the storage refuses, and would again.
    """
    folder = to_path(address)
    facts, reference = training_facts(run.task, run.data, run.ema_model)
    tensors = {f"{REFERENCE}{name}": tensor for name, tensor in reference.items()}
    weights = save(_weights(run.ema_model.state_dict()) | tensors)
    text = json.dumps({**describe(run), "training": facts}, indent=1, sort_keys=True)

    def write() -> None:
        write_bytes(folder / WEIGHTS, weights)
        write_bytes(folder / DESCRIPTION, text.encode())

    with_retries(write, f"the model {folder}", patience=WORKER_PATIENCE)


def describe(run: ExportableRun) -> dict[str, Any]:
    """Description that, with the weights, rebuilds the network, as plain values."""
    task, data, head = run.task, run.data, run.ema_model.head
    return {
        "format": FORMAT,
        "card": data.card.to_dict(),
        "dataset": data.store.manifest.get("dataset", data.card.name),
        "encoder": task.encoder.to_dict(),
        "parameters": {
            "encoder": _parameters(run.ema_model.encoder),
            "network": _parameters(run.ema_model),
        },
        "fusion": task.fusion,
        "bins": head.out_features if isinstance(head, BinnedHead) else None,
        "target": asdict(data.target_scale),
        "covariates": asdict(data.covariate_scale),
        "flips": task.flips,
        "method": run.method.name,
        "config": asdict(run.config),
        "epoch": run.epoch,
        "seed": task.seed,
        "train_splits": list(task.train_splits),
    }


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kept = {n: t for n, t in state.items() if not n.startswith("projection.")}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}

"""A trained model in words: what it sees, how it was built, and how long it was trained."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import polars as pl

from supremix_reports.document.parts import Listing, count_cell
from supremix_reports.errors import TableError
from supremix_reports.figures.plot import counted, listed
from supremix_reports.report.data import ReportData
from supremix_reports.report.entries import Entry, as_mapping
from supremix_reports.run_layout import MODEL
from supremix_reports.tables import schema, storage

_AXES: Final = {2: "pixels", 3: "voxels"}
_INTENSITIES: Final = {
    "stored": "grey values as they are stored",
    "foreground": "grey values scaled by the 99th percentile of the foreground",
    "range": "grey values scaled from the 1st to the 99th percentile of the file",
}
_AUGMENTATION: Final[Mapping[str, Callable[[float], str]]] = {
    "rotation_deg": lambda v: f"rotation up to {v:g}°",
    "translate": lambda v: f"shift up to {v:.0%} of the extent",
    "gamma": lambda v: f"exponent of the grey curve {math.exp(-v):.2f} to {math.exp(v):.2f}",
    "gain": lambda v: f"brightness {math.exp(-v):.2f} to {math.exp(v):.2f} times",
    "noise": lambda v: f"noise with a standard deviation of {v:.1%} of the full scale",
    "bias_field": lambda v: f"smooth field, standard deviation of its logarithm {v:g}",
    "speckle": lambda v: f"speckle with a relative standard deviation of {v:g}",
}


def model_listing(data: ReportData, entry: Entry, best: Mapping[str, Any] | None) -> Listing | None:
    """Describe the model of a run: its target, inputs, network and length of training.

    Args:
        data: the runs.
        entry: the run.
        best: its best trial, a row of the table `trials`; None where there is none.

    Returns:
        Names with sentences; None where the run recorded no card of its dataset.
    """
    card = entry.card
    if not card:
        return None
    model = _description(entry)
    entries = (
        ("Target", _target(entry, card)),
        ("Input", _input(card)),
        ("Covariates", _covariates(card, model)),
        ("Augmentation", _augmentation(as_mapping(card.get("augmentation")))),
        ("Encoder", _encoder(entry, model)),
        ("Training", _training(data, entry, best)),
        ("Final model", _final(model)),
    )
    return Listing(entries=tuple((name, text) for name, text in entries if text))


def _description(entry: Entry) -> Mapping[str, Any]:
    """The description that lies with the weights of the final model; empty without one."""
    address = storage.join(entry.run.address, MODEL)
    try:
        content = json.loads(storage.read_bytes(address)) if storage.exists(address) else {}
    except (OSError, ValueError, TableError):
        return {}
    return as_mapping(content)


def _target(entry: Entry, card: Mapping[str, Any]) -> str:
    text = f"{entry.target} in {entry.unit or card.get('unit')}"
    low, high = _pair(card.get("label_range"))
    if low is not None:
        text += f", possible from {low:g} to {high:g}"
    log = card.get("target_transform") == "log"
    return text + ("; its logarithm is fitted" if log else "")


def _pair(value: object) -> tuple[float | None, float | None]:
    ends = cast("list[float]", value) if isinstance(value, list) else []
    return (ends[0], ends[1]) if len(ends) == 2 else (None, None)


def _input(card: Mapping[str, Any]) -> str:
    shape, spacing = _numbers(card.get("shape")), _numbers(card.get("spacing"))
    if not shape:
        return ""
    period = card.get("period")
    grid = " × ".join(f"{n:g}" for n in shape)
    if period is not None:
        size = f"clips of {grid} (frames, height, width), every {period}th frame of a video"
    else:
        size = f"a grid of {grid} {_AXES.get(len(shape), 'points')}"
        size += f" of {' × '.join(f'{s:.3g}' for s in spacing)} mm" if spacing else ""
    words = [
        str(card.get("modality") or "images"),
        f"resampled to {size}",
        *([_channels(card)] if card.get("channels", 1) != 1 else []),
        _INTENSITIES.get(str(card.get("intensity")), ""),
    ]
    return ", ".join(filter(None, words))


def _channels(card: Mapping[str, Any]) -> str:
    names = ", ".join(card.get("sequences") or ())
    return counted(card["channels"], "channel") + (f" ({names})" if names else "")


def _numbers(value: object) -> list[float]:
    return cast("list[float]", value) if isinstance(value, list) else []


def _covariates(card: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    found = [as_mapping(one) for one in cast("Sequence[object]", card.get("covariates") or ())]
    if not found:
        return "none: the model sees the image alone"
    texts: list[str] = []
    for one in found:
        words = [str(word) for word, _ in cast("list[list[Any]]", one.get("words") or [])]
        notes = [
            str(one.get("doc") or ""),
            " or ".join(words),
            "its logarithm" if one.get("log") else "",
            "" if one.get("default") is None else f"{one['default']:g} where not known",
        ]
        noted = "; ".join(filter(None, notes))
        texts.append(f"{one.get('name')} ({noted})" if noted else str(one.get("name")))
    joined = {
        "concat": "side by side with the image features",
        "mlp": "joined with the image features by a hidden layer",
        "film": "scaling and shifting the image features",
    }.get(str(model.get("fusion")), "")
    return listed(texts) + (f", {joined}" if joined else "")


def _augmentation(strengths: Mapping[str, Any]) -> str:
    words = [
        write(float(strengths[name]))
        for name, write in _AUGMENTATION.items()
        if strengths.get(name)
    ]
    grow, shrink = (float(strengths.get(name) or 0.0) for name in ("scale", "shrink"))
    if grow or shrink:
        least = 1 - shrink if shrink else 1 / (1 + grow)
        words.append(f"size {least:.2f} to {1 + grow:.2f} times")
    axes = _numbers(strengths.get("flip_axes"))
    if axes:
        words.append(f"mirrored along {listed([f'axis {a + 1:g}' for a in axes])}")
    return ", ".join(words) or "none"


def _encoder(entry: Entry, model: Mapping[str, Any]) -> str:
    spec = as_mapping(model.get("encoder")) or entry.run.spec
    own = spec.get("builder")
    name = str(spec.get("name") or spec.get("encoder") or "")
    words = ("width",) if any(map(str.isdigit, name)) else ("depth", "width")  # resnet18 says both
    details = [f"{word} {spec[word]}" for word in words if spec.get(word) is not None]
    details += [f"{spec['norm']} normalisation"] if spec.get("norm") else []
    text = f"of the user's own ({own})" if own else ", ".join([name, *details])
    counts = as_mapping(model.get("parameters"))
    if "encoder" in counts:
        whole = _count(counts.get("network"))
        text += f"; {_count(counts['encoder'])} parameters, {whole} with all heads"
    return f"{text}; started from {_start(entry)}" if text else ""


def _start(entry: Entry) -> str:
    """The weights that the encoder started from."""
    if not entry.run.spec.get("pretrained"):
        return "random weights"
    found = as_mapping(entry.environment.get("pretrained"))
    if "file" not in found:
        return f"the encoder of a model of {found['of']}" if "of" in found else "pretrained weights"
    names = {n: cast("list[str]", found.get(n) or []) for n in ("reshaped", "missing", "unused")}
    parts = [
        f"{found.get('matched')} tensors as they are",
        *(["its first layer summed over its channels"] if names["reshaped"] else []),
        f"{_some(names['missing'])} missing",
        f"{_some(names['unused'])} unused",
    ]
    share = float(found.get("share") or 0)
    return (
        f"the weights in {found['file']} (SHA-256 {str(found.get('sha256'))[:12]}), which has "
        f"{share:.1%} of its parameters: {', '.join(parts)}"
    )


def _some(names: Sequence[str]) -> str:
    """The number of some names, and the first of them."""
    return f"{len(names)} ({', '.join(names[:3])}{', ...' * (len(names) > 3)})" if names else "none"


def _count(number: object) -> str:
    return count_cell(float(number)).text if isinstance(number, int | float) else "?"


def _training(data: ReportData, entry: Entry, best: Mapping[str, Any] | None) -> str:
    """The length of the best trial, stage by stage."""
    if best is None:
        return ""
    curves = data.curves(entry).filter(pl.col(schema.TRIAL) == best[schema.TRIAL])
    stages = curves.group_by(schema.STAGE, maintain_order=True).len().rows()
    parts = [f"{stage} {counted(number, 'epoch')}" for stage, number in stages]
    text = f"{entry.run.method}, {counted(best[schema.EPOCHS], 'epoch')}"
    text += f" ({', '.join(parts)})" if len(parts) > 1 else ""
    steps, images = best.get(schema.STEPS), best.get(schema.IMAGES_SEEN)
    if steps is not None and images is not None:
        text += f", {_count(steps)} steps, {_count(images)} images seen"
    return f"{text}; trial {best[schema.TRIAL]}, on the training split"


def _final(model: Mapping[str, Any]) -> str:
    if not model:
        return ""
    names = {schema.TRAIN: "training", schema.VAL: "validation", schema.TEST: "test"}
    splits = [names.get(str(one), str(one)) for one in _numbers(model.get("train_splits"))]
    flips = "; predictions are averaged over the flips" if model.get("flips") else ""
    return (
        f"the best hyperparameters, trained on {listed(splits)} data for "
        f"{counted(int(model.get('epoch') or 0), 'epoch')}, seed {model.get('seed')}{flips}"
    )

"""The weights in a file of others as a model that trials start from, once they are known to fit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from supremix._errors import TaskError
from supremix.models import EncoderSpec, build_encoder, feature_width
from supremix.storage.paths import Address, to_path
from supremix.training.artifacts.format import DESCRIPTION, FORMAT, WEIGHTS
from supremix.training.artifacts.key_matching import MatchedKeys, match_keys
from supremix.training.artifacts.pretrained import ENCODER, encoder_words
from supremix.training.artifacts.weights_file import read_weights
from supremix_datasets.cards.card import Card

_MEAN = "running_mean"


def fit_weights(
    address: Address, spec: EncoderSpec, card: Card, *, least: float
) -> dict[str, bytes]:
    """Fit the weights in a file into the encoder of trials.

    Args:
        address: Path or fsspec address of the file.
        spec: Encoder of the trials.
        card: Dataset of the trials.
        least: Least share of the encoder's parameters that the file has to have.

    Returns:
        By name the contents of the two files of a model, see `Initial`, whose encoder may lack
        tensors.

    Raises:
        TaskError: The file cannot be read, or its weights are not those of such an encoder.
    """
    content, groups = read_weights(address)
    with torch.random.fork_rng(devices=[]):
        encoder = build_encoder(spec, len(card.shape), card.channels)
        if spec.builder is not None:  # lazy layers get their shapes
            feature_width(encoder, card.channels, card.shape)
    keys = match_keys(groups, encoder)
    name = to_path(address).name
    _check(keys, encoder, name, spec, card, least)
    file = {"file": name, "sha256": hashlib.sha256(content).hexdigest(), **keys.report()}
    description = {
        "format": FORMAT,
        "dataset": name,
        "encoder": spec.to_dict(),
        "card": {"name": card.name, "shape": list(card.shape), "channels": card.channels},
        "keys": file,
    }
    return {
        WEIGHTS: save({f"{ENCODER}{name}": tensor for name, tensor in keys.tensors.items()}),
        DESCRIPTION: json.dumps(description, indent=1, sort_keys=True).encode(),
    }


def _check(
    keys: MatchedKeys, encoder: nn.Module, name: str, spec: EncoderSpec, card: Card, least: float
) -> None:
    ours = encoder_words(spec.to_dict(), len(card.shape), card.channels)
    found = f"found {keys.resembles}" if keys.resembles else "found another network"
    start = f"the pretrained weights {name!r} do not fit: a trial on {card.name} would have {ours}"
    unlike = _difference(keys, encoder)
    if unlike:
        raise TaskError(f"{start}; {found} ({unlike}). {_remedy(keys.resembles, spec, card)}")
    batch = spec.norm == "batch"
    statistics = [
        name
        for name in (keys.missing if batch else keys.unused)
        if name.endswith(_MEAN)
        and (not batch or name.replace(_MEAN, "weight") in (*keys.matched, *keys.reshaped))
    ]
    if statistics:
        theirs, take = (
            ("without statistics of batch normalisation", "--norm group or instance")
            if batch
            else ("with batch normalisation", "--norm batch")
        )
        raise TaskError(
            f"{start}; found a network {theirs} ({statistics[0]} is in one of them alone), whose "
            f"weights mean something else. Take {take}, or other weights"
        )
    if keys.divided:
        raise TaskError(
            f"{start}; {found}, with other layers in {', '.join(keys.divided)} "
            f"({_some([*keys.missing, *keys.unused])}). {_remedy(keys.resembles, spec, card)}"
        )
    if keys.share < least:
        raise TaskError(
            f"{start}; {found}, which has {keys.share:.1%} of its parameters, expected at least "
            f"{least:.1%}. Missing: {_some(keys.missing)}. Take weights of the whole encoder, or "
            "allow fewer (--min-matched)"
        )


def _difference(keys: MatchedKeys, encoder: nn.Module) -> str:
    """Why the tensors cannot be of the encoder's make; empty where names and shapes agree."""
    for name, (theirs, ours) in keys.misfits.items():
        return f"{name} is {theirs} there, {ours} here; {len(keys.misfits)} such"
    if not keys.matched and not keys.reshaped:
        mine = [name for name, _ in encoder.named_parameters()]
        return f"it names {_some(keys.unused)}, the encoder {_some(mine)}"
    return ""


def _remedy(resembles: str | None, spec: EncoderSpec, card: Card) -> str:
    other = f"for {5 - len(card.shape)}-D images"
    if resembles and other in resembles:
        return (
            f"Kernels are not made {len(card.shape)}-D out of others: take weights of a network "
            f"for {len(card.shape)}-D images"
        )
    if resembles:
        name, width = resembles.split(" ")[0], re.findall(r"of width (\d+)", resembles)[0]
        given = {"--width": width if width != "64" else "", "--shortcut": ""}
        if "shortcut A" in resembles or spec.shortcut == "A":
            given["--shortcut"] = "A" if "shortcut A" in resembles else "B"
        more = "".join(f" {option} {value}" for option, value in given.items() if value)
        return f"Take the encoder that they are of, such as --encoder {name}{more}, or others"
    return "Take weights of a network that --encoder names (supremix search --help)"


def _some(names: Sequence[str], most: int = 3) -> str:
    """The first of some names, and how many more there are."""
    text = ", ".join(names[:most]) or "none"
    return f"{text} and {len(names) - most} more" if len(names) > most else text


def keys_in_words(keys: dict[str, Any]) -> str:
    """How the names of a file fitted into the encoder, in a few sentences.

    Args:
        keys: "keys" of the description that `fit_weights` made.
    """
    named = [
        f"{len(keys['matched'])} tensors as they are",
        f"made to fit the images' channels: {_some(keys['reshaped'], 5)}",
        *(
            [f"0, as the file has no such biases: {_some(keys['zeroed'])}"]
            if keys["zeroed"]
            else []
        ),
        f"missing, initialised as usual: {_some(keys['missing'], 5)}",
        f"unused: {_some(keys['unused'], 5)}",
    ]
    return (
        f"the encoder starts from {keys['file']} (SHA-256 {keys['sha256'][:12]}), which has "
        f"{keys['share']:.1%} of its parameters; {'; '.join(named)}."
    )

"""The network, and how a trial trains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from supremix._choices import ENCODERS, NORMS, PRECISIONS, SHORTCUTS
from supremix.search.request.option import MODEL, SEARCHES, TRAINING, TRAININGS, option

if TYPE_CHECKING:
    from supremix.models import EncoderSpec

_model = partial(option, group=MODEL, commands=TRAININGS)
_training = partial(option, group=TRAINING)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The network, and how a trial trains it."""

    encoder: str | EncoderSpec | Callable[..., Any] = _model(
        "resnet",
        help="Encoder, a network of MONAI: a family, small by default, or a network by its usual "
        "name; or one of your own, a callable (spatial_dims, channels) -> nn.Module, by its import "
        "path MODULE:NAME; in Python also itself, or an `EncoderSpec`.",
        choices=ENCODERS,
    )
    width: int | None = _model(
        help="Channels after the encoder's first layer; by default 16, and the published number "
        "of a network by its usual name.",
        least=1,
    )
    depth: int | None = _model(
        help="Depth of an encoder named by its family, as a multiple of the smallest; by default "
        "1.",
        least=1,
    )
    norm: str | None = _model(help="Normalisation of the encoder; by default batch.", choices=NORMS)
    shortcut: str | None = _model(
        help="Shortcuts of a resnet where its width changes: B is a convolution, A has no "
        "parameters, as in MedicalNet's resnet18 and resnet34; by default B.",
        choices=SHORTCUTS,
    )
    pretrained: str | None = _model(
        help="Weights that the encoder of the trials starts from: the run folder or model folder "
        "of an earlier search, of any dataset, or a file of others (.safetensors, .pt, .pth, "
        ".bin, .tar) with the weights of such an encoder, from which no code is run.",
        metavar="PATH",
        commands=SEARCHES,
        address=True,
    )
    min_matched: float = _model(
        0.5,
        help="Least share of the encoder's parameters that a file given as `pretrained` has to "
        "have.",
        commands=SEARCHES,
        above=0,
        most=1,
    )
    precision: str = _training(
        "auto",
        help="Precision of the forward pass in training; auto is bf16 on a GPU that has "
        "it, fp16 on an older one, and fp32 on a CPU.",
        commands=TRAININGS,
        choices=PRECISIONS,
    )
    chunk: int | None = _training(
        help="Images in one forward pass of the contrastive pretraining on each worker, for "
        "batches whose activations do not fit its memory, at the price of a second forward pass; "
        "by default the whole batch. It needs an encoder without batch normalisation.",
        least=1,
    )
    deterministic: bool = _training(
        False,
        help="Make a resumed trial end with the same bits on GPUs too, as on CPUs, with slower "
        "kernels; the default resnet has none for volumes.",
    )
    compile: bool = _training(
        False,
        help="Compile the encoder by torch.compile, which fuses its kernels: the same numbers to "
        "rounding, after some minutes of compiling in a worker's first steps.",
    )
    epoch_limit: float | None = _training(
        help="Time an epoch may take before its workers count as hung and are restarted, in "
        "seconds or written like 30m; by default twenty times the trial's longest epoch, at "
        "least 10m.",
        above=0,
        form="time",
    )

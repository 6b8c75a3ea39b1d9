"""Fitting the tensors of a file, by their names, into an encoder.

The names are those of torchvision and timm (`conv1`, `layer1.0.conv1`, `features.denseblock1`),
of MedicalNet and MONAI, which has the same, and of RadImageNet, whose layers are numbered
(`backbone.4.0.conv1`), with or without what a wrapper puts before them (`module.`, `encoder.`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from supremix.models.networks import usual_name
from supremix.models.stages import encoder_stages, stage_of

_WRAPPERS = (
    "module", "_orig_mod", "model", "net", "network", "backbone", "encoder", "resnet",
    "feature_extractor",
)  # fmt: skip
_RESNET_CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
_DENSE_LAYER = re.compile(r"(denselayer\d+)\.(norm|conv)\.?([12])\.")
_COUNT = "num_batches_tracked"


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchedKeys:
    """The tensors of a file that fit an encoder, and the names of all others.

    Attributes:
        tensors: The tensors to load, by the encoder's names.
        matched: Names of those that are as in the file.
        reshaped: Names of those that were made to fit: the first layer, whose channels are others.
        zeroed: Biases that the file's convolutions do not have, which are 0.
        missing: Names of the encoder's tensors that the file lacks.
        unused: Names of the file's tensors that the encoder lacks.
        misfits: By the encoder's names, the shapes found and expected where they differ.
        divided: Names of the first modules of stages of which the file has a part alone, or other
            tensors than the encoder.
        share: Share of the encoder's parameters that the file has.
        resembles: What the file's names and shapes are those of, as far as it is known.
    """

    tensors: Mapping[str, Tensor] = field(repr=False)
    matched: Sequence[str]
    reshaped: Sequence[str]
    zeroed: Sequence[str]
    missing: Sequence[str]
    unused: Sequence[str]
    misfits: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    divided: Sequence[str]
    share: float
    resembles: str | None

    def report(self) -> dict[str, Any]:
        """The names as plain values."""
        names = ("matched", "reshaped", "zeroed", "missing", "unused")
        return {**{name: list(getattr(self, name)) for name in names}, "share": self.share}


def match_keys(groups: Sequence[Mapping[str, Tensor]], encoder: nn.Module) -> MatchedKeys:
    """Fit the tensors of a file into an encoder, read in the way that gives most of them a name.

    A first layer for another number of channels is summed over them and divided by the number at
    hand: an image that is the same in all channels, as a grey one is, has the same response.

    Args:
        groups: Tensors by name, see `read_weights`.
        encoder: The encoder; not changed.
    """
    wanted = {n: t for n, t in encoder.state_dict().items() if not n.endswith(_COUNT)}
    readings = list(_readings(groups))
    names, found = max(readings, key=lambda one: len(one[1].keys() & wanted.keys()))
    first = next((n for n, t in wanted.items() if t.ndim > 2), None)
    tensors: dict[str, Tensor] = {}
    matched, reshaped, misfits = list[str](), list[str](), dict[str, Any]()
    for name, own in wanted.items():
        if name not in found:
            continue
        theirs = found[name]
        if theirs.shape == own.shape:
            matched.append(name)
        elif name == first and theirs[:, :1].shape == own[:, :1].shape:
            share = theirs.to(torch.float64).sum(1, keepdim=True) / own.shape[1]
            theirs = share.expand(own.shape)
            reshaped.append(name)
        else:
            misfits[name] = tuple(theirs.shape), tuple(own.shape)
            continue
        tensors[name] = theirs.to(own.dtype).contiguous()
    zeroed = [n for n in wanted if n not in found and _is_idle_bias(n, wanted, tensors)]
    tensors |= {name: torch.zeros_like(wanted[name], device="cpu") for name in zeroed}
    parameters = {name: p.numel() for name, p in encoder.named_parameters()}
    missing = [name for name in wanted if name not in tensors and name not in misfits]
    more = [name for name in found if name not in wanted and not name.endswith(_COUNT)]
    here = sum(number for name, number in parameters.items() if name in tensors)
    return MatchedKeys(
        tensors=tensors,
        matched=matched,
        reshaped=reshaped,
        zeroed=zeroed,
        missing=missing,
        unused=[*(names[n] for n in more), *_others(groups, names)],
        misfits=misfits,
        divided=_divided(encoder, tensors, missing, more),
        share=here / max(sum(parameters.values()), 1),
        resembles=next(filter(None, (_resembles(found) for _, found in readings)), None),
    )


def _is_idle_bias(name: str, wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> bool:
    """Whether a name is the bias of a convolution whose weight the file has."""
    weight = name.removesuffix("bias") + "weight"
    return name.endswith(".bias") and weight in tensors and wanted[weight].ndim > 2


def _readings(
    groups: Sequence[Mapping[str, Tensor]],
) -> Iterator[tuple[dict[str, str], dict[str, Tensor]]]:
    """The ways to read the names: of each the file's names by the new ones, and the tensors."""
    for group in groups:
        for prefix in dict.fromkeys(p for name in group for p in _prefixes(name)):
            inside = {n.removeprefix(prefix): n for n in group if n.startswith(prefix)}
            for spell in (str, _of_resnet_child, _of_features, "features.{}".format):
                names = {_DENSE_LAYER.sub(r"\1.layers.\2\3.", spell(n)): n for n in inside}
                yield (
                    {new: inside[short] for new, short in names.items()},
                    {new: group[inside[short]] for new, short in names.items()},
                )


def _prefixes(name: str) -> list[str]:
    parts, found = name.split("."), [""]
    for part in parts[:-1]:
        if part not in _WRAPPERS:
            break
        found.append(f"{found[-1]}{part}.")
    return found


def _of_resnet_child(name: str) -> str:
    """A name in a ResNet that was made a sequence of its children, as RadImageNet's is."""
    number, _, rest = name.partition(".")
    known = number.isdecimal() and int(number) < len(_RESNET_CHILDREN)
    return f"{_RESNET_CHILDREN[int(number)]}.{rest}" if known else name


def _of_features(name: str) -> str:
    """A name in a DenseNet that was made a sequence of its features alone, as RadImageNet's is."""
    return f"features.{name.removeprefix('0.')}" if name.startswith("0.") else name


def _others(groups: Sequence[Mapping[str, Tensor]], names: Mapping[str, str]) -> list[str]:
    """Names of the group that was read that a wrapper's prefix leaves out."""
    read = set(names.values())
    group = next(one for one in groups if read <= one.keys())
    return [name for name in group if name not in read and not name.endswith(_COUNT)]


def _divided(
    encoder: nn.Module, have: Iterable[str], lack: Iterable[str], more: Iterable[str]
) -> list[str]:
    stages = encoder_stages(encoder)
    there, not_there, other = ({stage_of(n, stages) for n in names} for names in (have, lack, more))
    return [
        modules[0]
        for index, modules in enumerate(stages)
        if (index in there and index in not_there) or index in other
    ]


def _resembles(found: Mapping[str, Tensor]) -> str | None:
    """The network that names and shapes belong to, in words."""
    text = "\n".join(found)
    first, name, more = "conv1.weight", None, ""
    layers = [re.findall(rf"^layer{i}\.(\d+)\.", text, re.MULTILINE) for i in range(1, 5)]
    dense = [re.findall(rf"denseblock{i}\.denselayer(\d+)\.", text) for i in range(1, 5)]
    if all(layers):
        blocks = [max(map(int, layer)) + 1 for layer in layers]
        name = usual_name(blocks, bottleneck="layer1.0.conv3.weight" in found) or (
            f"ResNet of {'-'.join(map(str, blocks))} blocks"
        )
        more = ", shortcut A" if ".downsample." not in text else ""
    elif all(dense):
        first, blocks = "features.conv0.weight", [max(map(int, layer)) for layer in dense]
        name = usual_name(blocks) or f"DenseNet of {'-'.join(map(str, blocks))} layers"
    if name is None or first not in found or found[first].ndim < 4:
        return None
    shape = found[first].shape
    channels = f"{shape[1]} channel{'s' * (shape[1] != 1)}"
    return f"{name} of width {shape[0]}{more}, for {len(shape) - 2}-D images of {channels}"

"""The stages of an encoder, from the image to the features: what is frozen, and learns slower."""

from __future__ import annotations

from torch import nn

_OPENED = ("features", "_blocks")
"""Containers of MONAI's networks whose own children are the stages."""


def encoder_stages(encoder: nn.Module) -> list[list[str]]:
    """Names of the modules of each stage.

    Layers before the first block of several are the first stage, the stem; each block of several
    layers starts another, and single layers and transitions after it belong to it. So a ResNet, a
    DenseNet and an EfficientNet have their stem and four, four and seven stages; of an encoder of
    the user's own the children are looked at.

    Args:
        encoder: The encoder.

    Returns:
        Of each stage the names of its modules, as they begin the names of the parameters. Empty
        for an encoder without parameters in its children.
    """
    stages: list[list[str]] = []
    for name, module in _units(encoder):
        block = any(module.children()) and not name.rpartition(".")[2].startswith("transition")
        if block or not stages:
            stages.append([name])
        else:
            stages[-1].append(name)
    return stages


def stage_of(name: str, stages: list[list[str]]) -> int | None:
    """Index of the stage that a parameter of the encoder belongs to; None for one of no module."""
    for index, modules in enumerate(stages):
        if any(name == module or name.startswith(f"{module}.") for module in modules):
            return index
    return None


def _units(encoder: nn.Module) -> list[tuple[str, nn.Module]]:
    found: list[tuple[str, nn.Module]] = []
    for name, child in encoder.named_children():
        inner = [(f"{name}.{own}", module) for own, module in child.named_children()]
        found += inner if name in _OPENED and inner else [(name, child)]
    return [(name, module) for name, module in found if any(True for _ in module.parameters())]

"""Exporting a trained model: `export`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from safetensors.torch import save

from supremix._display import Displayed
from supremix._errors import ModelError
from supremix.deployment.bundle import bundle_files, network_definitions
from supremix.deployment.check import check_images, largest_difference
from supremix.deployment.model_card import (
    FORMATS,
    INTENDED_USE,
    NO_LICENCE,
    description_of,
    interface,
    model_card,
)
from supremix.deployment.program import (
    check_onnx,
    exported_program,
    onnx_bytes,
    onnx_runner,
    program_bytes,
    program_runner,
)
from supremix.errors import UnknownNameError
from supremix.storage.paths import Address, children, to_path, write_bytes
from supremix.storage.retry import storage_errors
from supremix.training import TrainedModel
from supremix.training.artifacts.graph import Graph
from supremix.training.artifacts.loading import load

_README = {"onnx": "README.md", "bundle": "docs/README.md", "torch": "README.md"}


@dataclass(frozen=True, kw_only=True, repr=False)
class Export(Displayed):
    """An exported model.

    Attributes:
        path: Folder that was written.
        format: ``"onnx"``, ``"bundle"`` or ``"torch"``.
        files: Names of its files.
        difference: Largest difference from the model's predictions, in standard deviations of the
            training labels.
        checked_on: The images that it was checked on, in words.
    """

    path: str
    format: str
    files: tuple[str, ...]
    difference: float
    checked_on: str

    def facts(self) -> dict[str, str]:
        """Where it is, and how far it is from the model."""
        return {
            "format": self.format,
            "path": self.path,
            "files": ", ".join(self.files),
            "checked": f"on {self.checked_on}: differs by {self.difference:.1e} SD of the labels",
        }


def export(
    model: Address,
    out: Address,
    *,
    format: str,  # noqa: A002 (the name of the option)
    licence: str = NO_LICENCE,
    intended_use: str = INTENDED_USE,
    authors: str = "not stated",
    ensemble: bool = False,
    **objects: Any,
) -> Export:
    """Export a trained model for other software, with a model card.

    The exported model is compared with the model on images of the run's data, or on random ones
    where these cannot be read, before anything is written.

    Args:
        model: A run folder, or the folder of a model.
        out: A new or empty folder, a path or an fsspec address.
        format: ``"onnx"``: a graph of ONNX. ``"bundle"``: a MONAI bundle. ``"torch"``: weights as
            safetensors with the description of the network, and a program of `torch.export`.
        licence: Terms under which the model is given away.
        intended_use: What the model is meant for.
        authors: Who made it.
        ensemble: Whether to export the mean of the networks of all seeds, see `supremix.load`.
        objects: The callable of an encoder of one's own (``builder``), or one's own ``dataset``.

    Returns:
        What was written.

    Raises:
        ModelError: The model cannot be exported so, or its export predicts something else.
        USER_ERRORS: Of `supremix.errors`: the model or the folder is out of reach.
    """
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    if format == "onnx":
        check_onnx()
    target = to_path(out)
    with storage_errors(str(target)):
        if next(children(target), None) is not None or target.is_file():
            raise ModelError(f"{target} is not empty. Name a new folder for the export.")
    trained = load(model, ensemble=ensemble, **objects)
    encoder, graph = trained.description["encoder"]["name"], trained.predictor.graph()
    images = check_images(trained, model, objects.get("dataset"))
    program = exported_program(graph, images.tensors(trained.card)[0], encoder)
    words = {
        "version": "1.0.0",
        "authors": authors,
        "licence": licence,
        "intended_use": intended_use,
        "description": description_of(trained),
    }
    if format == "onnx":
        content = onnx_bytes(program, graph, {**interface(trained), **words}, encoder)
        files, run = {"model.onnx": content}, onnx_runner(content, graph.covariates)
    else:
        content = program_bytes(program)
        run = program_runner(content, graph.covariates)
        make = bundle_files if format == "bundle" else _torch_files
        files = make(trained, graph, content, words)
    found = Export(
        path=str(target),
        format=format,
        files=(*files, _README[format]),
        difference=largest_difference(run, trained, images),
        checked_on=images.words,
    )
    words["checked"] = found.facts()["checked"]
    files[_README[format]] = model_card(trained, str(to_path(model)), format, words).encode()
    with storage_errors(str(target)):
        for name, content in files.items():
            write_bytes(target / name, content)
    return found


def _torch_files(
    trained: TrainedModel, graph: Graph, program: bytes, words: dict[str, str]
) -> dict[str, bytes]:
    """Weights, the description of the network, and the program."""
    weights = {
        f"{number}.{name}": tensor
        for number, one in enumerate(graph.members)
        for name, tensor in one.network.state_dict().items()
    }
    description = {
        **words,
        "versions": {name: version(name) for name in ("supremix", "torch", "monai")},
        "networks": network_definitions(trained),
        "interface": interface(trained),
        "card": trained.card.to_dict(),
    }
    return {
        "model.safetensors": save(weights),
        "model.json": (json.dumps(description, indent=2) + "\n").encode(),
        "model.pt2": program,
    }

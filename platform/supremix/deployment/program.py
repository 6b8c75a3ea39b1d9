"""A model as a program of PyTorch that needs no code of supremix, and as an ONNX graph."""

from __future__ import annotations

import importlib
import io
import json
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix._errors import ModelError
from supremix.deployment.check import Runner
from supremix.training.artifacts.graph import Graph

IMAGES, COVARIATES, PREDICTION = "images", "covariates", "prediction"
"""Names of the inputs and of the output."""

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def exported_program(graph: Graph, images: Tensor, encoder: str) -> Any:
    """The graph as a `torch.export.ExportedProgram` for batches of any size.

    Args:
        graph: The model.
        images: (B, C, *shape) of at least two images, as an example.
        encoder: Name of the encoder, for the message of a refusal.

    Raises:
        ModelError: The encoder cannot be exported.
    """
    batch = torch.export.Dim("batch")
    example: tuple[Tensor, ...] = (images,)
    if graph.covariates:
        example = (images, images.new_zeros(len(images), graph.covariates))
    try:
        with torch.no_grad():
            shapes = ({0: batch},) * len(example)
            return torch.export.export(graph, example, dynamic_shapes=shapes)
    except Exception as error:  # an encoder of the user's own may fail in any way
        raise _refused(encoder, "a program of torch.export", error) from error


def _refused(encoder: str, form: str, error: Exception) -> ModelError:
    reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return ModelError(
        f"the encoder {encoder!r} cannot be exported as {form}: {reason}. One of your own has to "
        "be traceable by torch.export for batches of any size."
    )


def program_bytes(program: Any) -> bytes:
    """The content of a .pt2 file."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def program_runner(content: bytes, covariates: int) -> Runner:
    """The predictions of a .pt2 file."""
    module = torch.export.load(io.BytesIO(content)).module()

    def run(images: Tensor, known: Tensor) -> NDArray[Any]:
        with torch.no_grad():
            return module(*((images, known) if covariates else (images,))).numpy()

    return run


def check_onnx() -> None:
    """Check that the packages of the extra `export` are installed.

    Raises:
        ModelError: One is missing.
    """
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ModelError(
                f"an export to ONNX needs the package {name}: pip install 'supremix[export]'"
            ) from error


def onnx_bytes(program: Any, graph: Graph, facts: Mapping[str, Any], name: str) -> bytes:
    """The program as the content of an .onnx file.

    Args:
        program: What `exported_program` gave.
        graph: The model.
        facts: Metadata of the graph, by name.
        name: Name of the encoder, for the message of a refusal.

    Raises:
        ModelError: It has an operation without a form in ONNX.
    """
    names = [IMAGES, COVARIATES] if graph.covariates else [IMAGES]
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of each package that it could do without
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what the exporter does to its own objects
            exported: Any = torch.onnx.export(
                program, dynamo=True, input_names=names, output_names=[PREDICTION], verbose=False
            )
    except Exception as error:  # the exporter's own, of many kinds
        raise _refused(name, "ONNX", error) from error
    finally:
        logger.setLevel(level)
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in facts.items()}
    exported.model.metadata_props.update(texts)
    buffer = io.BytesIO()
    exported.save(buffer)
    return buffer.getvalue()


def onnx_runner(content: bytes, covariates: int) -> Runner:
    """The predictions of an .onnx file, by onnxruntime on the CPU."""
    runtime: Any = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(images: Tensor, known: Tensor) -> NDArray[Any]:
        given = {IMAGES: images.numpy()} | ({COVARIATES: known.numpy()} if covariates else {})
        return np.asarray(session.run(None, given)[0])

    return run

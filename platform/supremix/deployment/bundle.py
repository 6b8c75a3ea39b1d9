"""A MONAI bundle of a trained model: its configurations, weights and program.

Source: the MONAI Bundle Specification, https://docs.monai.io/en/stable/mb_specification.html.
"""

from __future__ import annotations

import io
import json
from importlib.metadata import version
from typing import Any

import torch

from supremix._errors import ModelError
from supremix.deployment.program import COVARIATES, IMAGES, PREDICTION
from supremix.training import TrainedModel
from supremix.training.artifacts.graph import Graph
from supremix.training.artifacts.inference import Predictor
from supremix_datasets import Card
from supremix_datasets.registry import names

SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"


def bundle_files(
    trained: TrainedModel, graph: Graph, program: bytes, words: dict[str, str]
) -> dict[str, bytes]:
    """The files of a bundle by their names, but for its README.

    Args:
        trained: The model.
        graph: The same as one module.
        program: Content of the model's .pt2 file.
        words: version, authors, licence, intended_use and description.

    Raises:
        ModelError: The files of the dataset are read by a reader of the user's own.
    """
    dataset = trained.description["dataset"]
    if dataset not in names():
        raise ModelError(
            f"a bundle reads files with the reader of its dataset, and {dataset!r} is not a "
            "built-in one. Export as onnx or torch, which take images that are read already."
        )
    weights = io.BytesIO()
    torch.save(graph.state_dict(), weights)
    preprocessing = {
        "dataset": dataset,
        "card": trained.card.to_dict(),
        "thorough": trained.description["flips"],
    }
    return {
        "configs/metadata.json": _json(_metadata(trained, graph, words)),
        "configs/inference.json": _json(_inference(trained.card, graph)),
        "configs/preprocessing.json": _json(preprocessing),
        "models/model.pt": weights.getvalue(),
        "models/model.pt2": program,
    }


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _metadata(trained: TrainedModel, graph: Graph, words: dict[str, str]) -> dict[str, Any]:
    """Metadata that is valid against MONAI's schema."""
    card = trained.card
    inputs = {
        IMAGES: _tensor(
            type="image",
            format="magnitude",
            modality=card.modality,
            num_channels=card.channels,
            spatial_shape=list(card.shape),
            channel_def={str(k): "image" for k in range(card.channels)},
        )
    }
    if graph.covariates:
        channels = {str(k): one.name for k, one in enumerate(card.covariates)}
        inputs[COVARIATES] = _tensor(
            type="tuples", format="raw", num_channels=graph.covariates, channel_def=channels
        )
    prediction = _tensor(
        type="tuples",
        format="raw",
        num_channels=1,
        channel_def={"0": f"{card.target} in {card.unit}"},
    )
    return {
        "schema": SCHEMA,
        "version": words["version"],
        "changelog": {words["version"]: "exported by supremix"},
        "monai_version": version("monai"),
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"supremix": version("supremix")},
        "name": f"{card.target} from {card.name}",
        "task": f"Regression of {card.target} in {card.unit} from {card.imaging}",
        "description": words["description"],
        "authors": words["authors"],
        "copyright": words["licence"],
        "intended_use": words["intended_use"],
        "data_source": card.home,
        "data_type": card.modality,
        "network_def": network_definitions(trained),
        "network_data_format": {"inputs": inputs, "outputs": {PREDICTION: prediction}},
    }


def _tensor(**given: Any) -> dict[str, Any]:
    usual = {"spatial_shape": [], "dtype": "float32", "value_range": [], "is_patch_data": False}
    return usual | given


def network_definitions(trained: TrainedModel) -> list[dict[str, Any]]:
    """What builds the network and its `PredictionGraph` again; of an ensemble, of each model."""
    return [_network_definition(one) for one in trained.predictor.members]


def _network_definition(predictor: Predictor) -> dict[str, Any]:
    description, card = predictor.description, predictor.card
    return {
        "class": "supremix.models.Network",
        "encoder": description["encoder"],
        "arguments": {
            "channels": card.channels,
            "shape": list(card.shape),
            "covariates": len(card.covariates),
            "fusion": description["fusion"],
            "bins": description["bins"],
        },
        "target": description["target"],
        "covariates": description["covariates"],
        "flip_axes": list(predictor.flip_axes),
    }


def _inference(card: Card, graph: Graph) -> dict[str, Any]:
    """The configuration by which MONAI predicts image files, and writes predictions.csv."""
    inputs = "batch['images']" + (", batch['covariates']" if graph.covariates else "")
    mean = "values.log().mean().exp()" if card.target_transform == "log" else "values.mean()"
    loader = {"batch_size": 1, "num_workers": 0, "collate_fn": "$lambda batch: batch[0]"}
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/predictions'",
        "image_files": [],
        "covariates": {},
        "device": "cpu",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "supremix.deployment.transforms.LoadOnGrid",
                    "config": "$@bundle_root + '/configs/preprocessing.json'",
                },
                {
                    "_target_": "Lambdad",
                    "keys": "images",
                    "func": f"$lambda pixels: (pixels - {card.offset!r}) * {card.gain!r}",
                },
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': f, 'covariates': @covariates} for f in @image_files]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", **loader},
        "network": "$torch.export.load(@bundle_root + '/models/model.pt2').module().to(@device)",
        "clips_mean": f"$lambda values: {mean}",
        "inferer": f"$lambda batch: @clips_mean(@network({inputs.replace(']', '].to(@device)')}))",
        "saver": {"_target_": "CSVSaver", "output_dir": "@output_dir"},
        "run": [
            "$[@saver.save(@inferer(batch).detach(), {'filename_or_obj': batch['file']}) "
            "for batch in @dataloader]",
            "$@saver.finalize()",
        ],
    }

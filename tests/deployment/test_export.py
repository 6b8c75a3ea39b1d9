"""Exported models: predicted by other software as the model predicts, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from trained_table import train_on_table, with_second_network

import supremix
from supremix.deployment import program
from supremix.deployment.check import LIMIT, check_images
from supremix.errors import ModelError, UnknownNameError
from supremix.models import EncoderSpec, Network
from supremix.training.artifacts.graph import PredictionGraph
from supremix.training.data.trial_data import to_input
from supremix_datasets.stores.conform import present

TEXT, OBJECT, LIST = {"type": "string"}, {"type": "object"}, {"type": "array"}
TENSOR = {
    "type": TEXT, "format": TEXT, "num_channels": {"type": "integer"}, "spatial_shape": LIST,
    "dtype": TEXT, "value_range": {**LIST, "items": {"type": "number"}},
}  # fmt: skip
TENSORS = {**OBJECT, "additionalProperties": {"properties": TENSOR, "required": list(TENSOR)}}
DATA_FORMAT = {
    "properties": {"inputs": TENSORS, "outputs": TENSORS},
    "required": ["inputs", "outputs"],
}
REQUIRED = {
    "schema": TEXT, "version": TEXT, "monai_version": TEXT, "pytorch_version": TEXT,
    "numpy_version": TEXT, "required_packages_version": OBJECT, "task": TEXT, "description": TEXT,
    "authors": TEXT, "copyright": TEXT, "network_data_format": DATA_FORMAT,
}  # fmt: skip
"""What the schema of MONAI's metadata (meta_schema_20240725) asks for."""

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_on_table(tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def images(run: Path) -> list[str]:
    return [str(path) for path in sorted((run.parent / "images").glob("*.png"))[:3]]


@pytest.fixture(scope="module")
def expected(run: Path, images: list[str]) -> np.ndarray:
    return supremix.load(run).predict(images, sex="F", age=61)


@pytest.fixture(scope="module")
def inputs(run: Path, images: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The images as the interface of the model card describes them."""
    model = supremix.load(run)
    shown = [
        present(model.card, model.reader.decode(one), {"sex": "F", "age": 61}) for one in images
    ]
    pixels = torch.from_numpy(np.stack([one.pixels for one in shown]))
    known = np.stack([one.covariates for one in shown])
    return to_input(pixels, model.card.offset, model.card.gain).float().numpy(), known


def test_onnx_predicts_as_the_model(
    run: Path, tmp_path: Path, expected: np.ndarray, inputs: tuple[np.ndarray, np.ndarray]
) -> None:
    found = supremix.export(run, tmp_path / "onnx", format="onnx", licence="CC-BY-4.0")
    assert found.files == ("model.onnx", "README.md")
    assert found.checked_on == "8 images of the run's data"
    assert found.difference <= LIMIT
    path = str(tmp_path / "onnx" / "model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = dict(zip(("images", "covariates"), inputs, strict=True))
    assert session.run(None, given)[0] == pytest.approx(expected, rel=1e-4)
    facts = {one.key: one.value for one in onnx.load(path).metadata_props}
    assert facts["images"].startswith("float32 (batch, 1, 16, 16)")
    assert facts["covariates"].startswith("0: sex, M = 0, F = 1; 1: age, ")
    assert "mean over" not in facts["outside"]
    assert facts["licence"] == "CC-BY-4.0"
    card = (tmp_path / "onnx" / "README.md").read_text()
    for text in (
        "CC-BY-4.0",
        "Research on patients",
        "in mm",
        "8 images of the run's data",
        "onnxruntime",
    ):
        assert text in card


def test_torch_needs_no_code_of_ours_and_can_be_built_again(
    run: Path, tmp_path: Path, expected: np.ndarray, inputs: tuple[np.ndarray, np.ndarray]
) -> None:
    folder = tmp_path / "torch"
    supremix.export(run, folder, format="torch")
    images, known = map(torch.from_numpy, inputs)
    module = torch.export.load(folder / "model.pt2").module()
    assert module(images, known).numpy() == pytest.approx(expected, rel=1e-4)
    made = json.loads((folder / "model.json").read_text())["networks"][0]
    network = Network(EncoderSpec.from_dict(made["encoder"]), **made["arguments"])
    weights = load_file(folder / "model.safetensors")
    network.load_state_dict({name.removeprefix("0."): one for name, one in weights.items()})
    again = PredictionGraph(
        network,
        supremix.load(run).predictor.target,
        supremix.load(run).predictor.covariate_scale,
        tuple(made["flip_axes"]),
    )
    assert torch.equal(again(images, known), module(images, known))


def test_the_ensemble_of_two_seeds_is_exported_as_their_mean(
    run: Path, tmp_path: Path, expected: np.ndarray, inputs: tuple[np.ndarray, np.ndarray]
) -> None:
    both = with_second_network(run, tmp_path / "run", by=10)
    supremix.export(both, tmp_path / "torch", format="torch", ensemble=True)
    module = torch.export.load(tmp_path / "torch" / "model.pt2").module()
    found = module(*map(torch.from_numpy, inputs)).numpy()
    assert found == pytest.approx(expected + 5, rel=1e-4)
    content = json.loads((tmp_path / "torch" / "model.json").read_text())
    assert len(content["networks"]) == 2
    assert "It is the mean of 2 networks." in (tmp_path / "torch" / "README.md").read_text()


@pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")
def test_monai_runs_the_bundle(
    run: Path, tmp_path: Path, images: list[str], expected: np.ndarray
) -> None:
    from monai.bundle import run as run_bundle

    bundle = tmp_path / "bundle"
    supremix.export(run, bundle, format="bundle", authors="A")
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    jsonschema.validate(metadata, {"properties": REQUIRED, "required": list(REQUIRED)})
    assert (metadata["authors"], metadata["network_data_format"]["outputs"].keys()) == (
        "A",
        {"prediction"},
    )
    run_bundle(
        config_file=str(bundle / "configs" / "inference.json"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        bundle_root=str(bundle),
        image_files=images,
        covariates={"sex": "F", "age": 61},
    )
    lines = (bundle / "predictions" / "predictions.csv").read_text().splitlines()
    found = dict(line.rsplit(",", 1) for line in lines)
    assert list(found) == images
    assert [float(value) for value in found.values()] == pytest.approx(expected, rel=1e-5)
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    supremix.load(run).predictor.graph().load_state_dict(state)


def test_an_export_that_predicts_otherwise_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(content: bytes, covariates: int) -> Any:
        return lambda images, known: np.zeros(len(images))

    for name, instead in (
        ("exported_program", lambda *given: None),
        ("program_bytes", lambda program: b""),
        ("program_runner", wrong),
    ):
        monkeypatch.setattr(f"supremix.deployment.export.{name}", instead)
    with pytest.raises(ModelError, match="standard deviations of the training labels"):
        supremix.export(run, tmp_path / "torch", format="torch")
    assert not (tmp_path / "torch").exists()


def test_without_its_run_a_model_is_checked_on_random_images(run: Path) -> None:
    found = check_images(supremix.load(run / "best"), run / "best", None)
    assert found.words.startswith("8 random images")
    assert len(found.shown) == 8


def test_a_folder_with_something_in_it_and_an_unknown_format_are_refused(
    run: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="bundle, onnx, torch"):
        supremix.export(run, tmp_path / "new", format="tflite")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="is not empty"):
        supremix.export(run, tmp_path, format="torch")


def test_without_onnx_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(program, "_PACKAGES", ("onnx_that_is_not_there",))
    with pytest.raises(ModelError, match=r"pip install 'supremix\[export\]'"):
        supremix.export(tmp_path, tmp_path / "new", format="onnx")

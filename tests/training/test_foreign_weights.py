"""Encoders that start from the weights in a file of others."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import donors
import pytest
import torch
from own_encoder import PooledMean
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from supremix.models import EncoderSpec, build_encoder
from supremix.runs.folder import RunFolder
from supremix.runs.initial_weights import check_unchanged, keep_initial
from supremix.training import Task, TaskError, TrialRun
from supremix.training.artifacts.foreign_weights import fit_weights, keys_in_words
from supremix.training.artifacts.pretrained import Initial
from supremix_datasets.cards.card import Card
from supremix_datasets.stores.store import Store

GREY = EncoderSpec(name="resnet18", width=donors.WIDTH)


def card_of(shape: tuple[int, ...] = (40, 40), channels: int = 1) -> Card:
    return Card(
        name="films", title="", modality="", target="age", unit="years", label_bin=1.0,
        label_scale=1.0, window=5.0, label_range=(0, 100), shape=shape, channels=channels,
    )  # fmt: skip


def started(file: Path, spec: EncoderSpec, card: Card, least: float = 0.5) -> tuple[Any, nn.Module]:
    """The names of a file, and an encoder that started from it."""
    run = RunFolder(file.with_name("run"))
    keep_initial(run, str(file), spec, card, least=least)
    initial = Initial.read(run.pretrained)
    encoder = build_encoder(spec, len(card.shape), card.channels)
    initial.load_into(encoder)
    return initial.keys, encoder.eval()


def refused(file: Path, spec: EncoderSpec, card: Card, message: str, least: float = 0.5) -> str:
    with pytest.raises(TaskError, match=message) as caught:
        fit_weights(file, spec, card, least=least)
    return str(caught.value)


Save = Callable[[dict[str, Tensor], Path], Path]


def saved(wrap: Callable[[dict[str, Tensor]], Any], name: str) -> Save:
    def save(state: dict[str, Tensor], folder: Path) -> Path:
        torch.save(wrap(state), folder / name)
        return folder / name

    return save


def safe(prefix: str) -> Save:
    def save(state: dict[str, Tensor], folder: Path) -> Path:
        save_file({f"{prefix}{n}": t for n, t in state.items()}, folder / "w.safetensors")
        return folder / "w.safetensors"

    return save


def prefixed(prefix: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: donors.renamed(state, lambda name: f"{prefix}{name}")


WAYS: dict[str, Save] = {
    "torchvision": saved(dict, "resnet18-f37072fd.pth"),
    "old format": lambda state, folder: (
        torch.save(state, folder / "a.pt", _use_new_zipfile_serialization=False) or folder / "a.pt"
    ),
    "timm": safe(""),
    "lightly": safe("backbone."),
    "MedicalNet": saved(lambda s: {"epoch": 3, "state_dict": prefixed("module.")(s)}, "a.pth.tar"),
    "nested": saved(lambda s: {"model": {"encoder": s}, "optimizer": {"state": {}}}, "a.bin"),
    "compiled": saved(prefixed("_orig_mod.module.encoder."), "a.pt"),
    "RadImageNet": saved(lambda s: donors.renamed(s, donors.radimagenet_names), "ResNet.pt"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_grey_image_has_the_features_that_it_has_in_three_channels(
    way: str, tmp_path: Path
) -> None:
    donor = donors.resnet()
    keys, encoder = started(WAYS[way](donor.state_dict(), tmp_path), GREY, card_of())
    images = torch.rand(4, 1, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(
            encoder(images), donors.features(donor, images.expand(-1, 3, -1, -1)),
            rtol=1e-4, atol=1e-5,
        )  # fmt: skip
    assert keys["reshaped"] == ["conv1.weight"]
    assert keys["zeroed"] == [f"layer{i}.0.downsample.0.bias" for i in (2, 3, 4)]
    assert (keys["missing"], keys["share"]) == ([], 1.0)
    assert len(keys["unused"]) == 2
    assert len(keys["matched"]) == 99


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_first_layer_keeps_the_response_to_channels_that_are_the_same(
    channels: int, tmp_path: Path
) -> None:
    donor = donors.resnet("resnet10")
    file = safe("")(donor.state_dict(), tmp_path)
    spec = EncoderSpec(name="resnet10", width=donors.WIDTH)
    keys, encoder = started(file, spec, card_of(channels=channels))
    images = torch.rand(3, 1, 40, 40)
    with torch.no_grad():
        ours = encoder(images.expand(-1, channels, -1, -1))
    torch.testing.assert_close(
        ours, donors.features(donor, images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5
    )
    assert keys["reshaped"] == ([] if channels == 3 else ["conv1.weight"])


@pytest.mark.parametrize(
    "rename",
    [
        str,
        donors.torchvision_names,
        donors.old_torchvision_names,
        donors.radimagenet_dense_names,
    ],
)
def test_a_densenet_of_any_naming(rename: Callable[[str], str], tmp_path: Path) -> None:
    donor = donors.densenet121()
    file = saved(lambda s: donors.renamed(s, rename), "d.pt")(donor.state_dict(), tmp_path)
    spec = EncoderSpec(name="densenet121", width=donors.WIDTH)
    keys, encoder = started(file, spec, card_of((48, 48)))
    images = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        ours = encoder(images)
    torch.testing.assert_close(
        ours, donors.features(donor, images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4
    )
    assert (keys["missing"], keys["share"], len(keys["unused"])) == ([], 1.0, 2)


@pytest.mark.parametrize(("shortcut", "bias"), [("A", True), ("B", True), ("B", False)])
def test_a_resnet_of_volumes_with_either_shortcut(
    shortcut: str, bias: bool, tmp_path: Path
) -> None:
    more = {"spatial_dims": 3, "n_input_channels": 1, "shortcut_type": shortcut}
    donor = donors.resnet("resnet10", bias_downsample=bias, **more)
    state = donor.state_dict() | {"conv_seg.0.weight": torch.ones(2, 2, 1, 1, 1)}
    file = saved(lambda s: {"state_dict": prefixed("module.")(s)}, "resnet_10_23dataset.pth")(
        state, tmp_path
    )
    spec = EncoderSpec(name="resnet10", width=donors.WIDTH, shortcut=shortcut)
    keys, encoder = started(file, spec, card_of((24, 32, 24)))
    images = torch.rand(2, 1, 24, 32, 24)
    with torch.no_grad():
        ours = encoder(images)
    torch.testing.assert_close(ours, donors.features(donor, images), rtol=1e-4, atol=1e-4)
    assert keys["reshaped"] == keys["missing"] == []
    assert "module.conv_seg.0.weight" in keys["unused"]
    other = dataclasses.replace(spec, shortcut="B" if shortcut == "A" else "A")
    advice = f"--encoder resnet10 --width 8 --shortcut {shortcut}, or"
    assert advice in refused(file, other, card_of((24, 32, 24)), "with other layers in layer2")


def torchvision_resnet50() -> dict[str, Tensor]:
    """The names and shapes that torchvision documents, at another width."""
    state: dict[str, Tensor] = {}

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{part}"] = torch.rand(channels)
        state[f"{name}.num_batches_tracked"] = torch.tensor(1)

    def conv(name: str, out: int, into: int, size: int) -> None:
        state[f"{name}.weight"] = torch.rand(out, into, size, size)

    conv("conv1", 8, 3, 7)
    norm("bn1", 8)
    into = 8
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        width = 8 * 2 ** (stage - 1)
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            for number, (a, b, size) in enumerate(
                ((width, into, 1), (width, width, 3), (4 * width, width, 1)), start=1
            ):
                conv(f"{name}.conv{number}", a, b, size)
                norm(f"{name}.bn{number}", a)
            if block == 0:
                conv(f"{name}.downsample.0", 4 * width, into, 1)
                norm(f"{name}.downsample.1", 4 * width)
            into = 4 * width
    state["fc.weight"], state["fc.bias"] = torch.rand(1000, into), torch.rand(1000)
    return state


def test_the_documented_names_of_a_resnet50_are_all_used(tmp_path: Path) -> None:
    file = saved(dict, "resnet50-11ad3fa6.pth")(torchvision_resnet50(), tmp_path)
    keys, _ = started(file, EncoderSpec(name="resnet50", width=8), card_of())
    assert keys["unused"] == ["fc.weight", "fc.bias"]
    assert (keys["missing"], keys["reshaped"], keys["share"]) == ([], ["conv1.weight"], 1.0)
    assert len(keys["zeroed"]) == 4
    assert keys_in_words(keys) == (
        f"the encoder starts from resnet50-11ad3fa6.pth (SHA-256 {keys['sha256'][:12]}), which has "
        "100.0% of its parameters; 264 tensors as they are; made to fit the images' channels: "
        "conv1.weight; 0, as the file has no such biases: layer1.0.downsample.0.bias, "
        "layer2.0.downsample.0.bias, layer3.0.downsample.0.bias and 1 more; missing, initialised "
        "as usual: none; unused: fc.weight, fc.bias."
    )


ASKED: dict[str, tuple[dict[str, Any], EncoderSpec, Card, list[str]]] = {
    "deeper": ({"name": "resnet50"}, GREY, card_of(), [
        "a trial on films would have a resnet18 of width 8", "found resnet50 of width 8, for 2-D",
        "--encoder resnet50",
    ]),
    "one block more": ({"name": "resnet34"}, GREY, card_of(), [
        "found resnet34 of width 8", "with other layers in layer1, layer2, layer3, layer4",
        "--encoder resnet34",
    ]),
    "one block fewer": ({"name": "resnet10"}, GREY, card_of(), ["--encoder resnet10"]),
    "wider": ({}, dataclasses.replace(GREY, width=16), card_of(), [
        "conv1.weight is (8, 3, 7, 7) there, (16, 1, 7, 7) here", "found resnet18 of width 8",
    ]),
    "flat for volumes": ({}, GREY, card_of((24, 24, 24)), [
        "for 2-D images of 3 channels", "Kernels are not made 3-D out of others",
    ]),
    "volumes for flat": ({"spatial_dims": 3}, GREY, card_of(), [
        "for 3-D images of 3 channels", "Kernels are not made 2-D out of others",
    ]),
    "another family": ({}, EncoderSpec(name="densenet121", width=8), card_of(), [
        "it names bn1.bias, bn1.", "--encoder resnet18",
    ]),
    "other norms": ({}, dataclasses.replace(GREY, norm="group"), card_of(), [
        "found a network with batch normalisation (bn1.running_mean is", "Take --norm batch",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("asked", ASKED)
def test_another_architecture_is_refused_by_its_name(asked: str, tmp_path: Path) -> None:
    donor, spec, card, facts = ASKED[asked]
    file = safe("")(donors.resnet(**donor).state_dict(), tmp_path)
    message = refused(file, spec, card, "the pretrained weights 'w.safetensors' do not fit")
    assert [fact for fact in facts if fact not in message] == []


def test_a_part_of_an_encoder_is_taken_from_a_share_on(tmp_path: Path) -> None:
    state = {n: t for n, t in donors.resnet().state_dict().items() if not n.startswith("layer4")}
    file = safe("")(state, tmp_path)
    message = refused(file, GREY, card_of(), "has 25.1% of its parameters, expected at least 50.0%")
    assert "Missing: layer4.0.conv1.weight, " in message
    keys, encoder = started(file, GREY, card_of(), least=0.2)
    assert all(name.startswith("layer4.") for name in keys["missing"])
    torch.testing.assert_close(
        encoder.state_dict()["layer3.1.conv2.weight"], state["layer3.1.conv2.weight"]
    )


class Code:
    """An object that runs a command when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


def test_a_file_with_code_in_it_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    state = donors.resnet().state_dict()
    for name, new in (("new.pth", True), ("old.pt", False)):
        content = {"state_dict": state, "more": Code(trace)}
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=new)
        refused(tmp_path / name, GREY, card_of(), r"would run posix.mkdir, so they were not loaded")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Code(trace)))
    refused(tmp_path / "plain.pt", GREY, card_of(), "cannot be read: expected a file of torch.save")
    torch.save(donors.resnet(), tmp_path / "module.pt")
    refused(tmp_path / "module.pt", GREY, card_of(), "would run .*save its state dict alone")
    assert not trace.exists()


def test_damaged_and_other_files_are_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    torch.save(donors.resnet().state_dict(), whole)
    file = safe("")(donors.resnet().state_dict(), tmp_path)
    contents = {
        "half.pth": whole.getvalue()[: len(whole.getvalue()) // 2],
        "page.pt": b"<!DOCTYPE html><html>not found</html>",
        "words.bin": b"hello world",
        "empty.tar": b"",
        "half.safetensors": file.read_bytes()[:1000],
        "none.safetensors": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, GREY, card_of(), rf"{name}' cannot be read.*download it again")
    torch.save([1, 2], tmp_path / "list.pt")
    refused(tmp_path / "list.pt", GREY, card_of(), "hold no tensors by name")
    with pytest.raises(TaskError, match=r"no model to start from.*a file of weights"):
        keep_initial(None, str(tmp_path / "nowhere.pth"), GREY, card_of(), least=0.5)


def test_a_file_in_a_bucket(bucket: str, tmp_path: Path) -> None:
    import s3fs

    local = safe("")(donors.resnet().state_dict(), tmp_path)
    s3fs.S3FileSystem().put(str(local), f"{bucket}/w.safetensors")
    content = json.loads(
        fit_weights(f"{bucket}/w.safetensors", GREY, card_of(), least=0.5)["model.json"]
    )
    assert content["keys"]["share"] == 1.0


def test_an_encoder_of_ones_own_takes_the_weights_of_its_names(tmp_path: Path) -> None:
    spec = EncoderSpec(builder=PooledMean)
    donor = PooledMean(2, 3)
    file = safe("net.")(donor.state_dict(), tmp_path)
    keys, encoder = started(file, spec, card_of())
    assert (keys["matched"], keys["reshaped"]) == (["conv.bias"], ["conv.weight"])
    grey = torch.rand(2, 1, 40, 40)
    torch.testing.assert_close(encoder(grey), donor(grey.expand(-1, 3, -1, -1)))


@pytest.fixture
def kept(task: Task, store: Store, tmp_path: Path) -> Task:
    """A task that starts from the weights in a file, of which `layer4` is missing."""
    state = donors.resnet("resnet10", block_inplanes=[4, 8, 16, 32]).state_dict()
    state = {n: t for n, t in state.items() if not n.startswith("layer4")}
    run = RunFolder(tmp_path / "run")
    keep_initial(run, str(safe("")(state, tmp_path)), task.encoder, store.card, least=0.1)
    return dataclasses.replace(task, pretrained=str(run.pretrained))


def test_what_is_missing_is_drawn_by_the_seed_of_the_trial(kept: Task) -> None:
    fresh = TrialRun(dataclasses.replace(kept, pretrained=None), {}).ema_model.state_dict()
    weights = load_file(Path(str(kept.pretrained)) / "model.safetensors")
    for name, tensor in TrialRun(kept, {}).ema_model.state_dict().items():
        torch.testing.assert_close(tensor, weights.get(name, fresh[name]), rtol=0, atol=0)


def test_a_resumed_run_refuses_weights_that_have_changed(kept: Task) -> None:
    folder = Path(str(kept.pretrained))
    initial = Initial.read(folder)
    check_unchanged(initial, None)
    check_unchanged(initial, initial.facts()["weights"])
    changed = {n: t + 1 for n, t in load_file(folder / "model.safetensors").items()}
    save_file(changed, folder / "model.safetensors")
    with pytest.raises(TaskError, match="have changed since the run began: expected SHA-256"):
        check_unchanged(Initial.read(folder), initial.facts()["weights"])

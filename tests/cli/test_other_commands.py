from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import supremix
from supremix import cli
from supremix.errors import DatasetError


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


class FakeModel:
    card = SimpleNamespace(unit="mm", target="head", name="hc18", modality="ultrasound")
    expected = {"pixel_size": "a positive number", "sex": "F or M, may be left out"}  # noqa: RUF012

    def predict(self, path: str, **covariates: float | str) -> float:
        if "broken" in path:
            raise DatasetError("the file ends too early; fetch it again.")
        return 100.0 + float(covariates.get("pixel_size", 0.0))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supremix, "load", lambda path: FakeModel())


class FakeStore(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.targets)


def store() -> Any:
    card = SimpleNamespace(title="Heads", shape=(128, 192), target="circumference", unit="mm")
    return FakeStore(
        path="cache/abc",
        card=card,
        index=pl.DataFrame({"group": ["a", "a", "b"]}),
        targets=np.array([100.0, 110.0, 120.0]),
        quarantine=pl.DataFrame({"id": ["7_HC"], "reason": ["truncated"], "address": ["x"]}),
        copies=[[0, 2]],
        describe_copies=lambda: "1 images occur twice",
    )


@pytest.mark.usefixtures("model")
def test_predictions_are_shown_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "out.csv"

    code = run("predict", "runs/x", "a.png", "b.png", "--pixel-size", "0.5", "--table", str(table))

    assert code == 0
    assert "100.50" in capsys.readouterr().out
    assert table.read_text().splitlines() == [
        "image,prediction,unit",
        "a.png,100.5,mm",
        "b.png,100.5,mm",
    ]


@pytest.mark.usefixtures("model")
def test_a_covariate_of_any_name_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", "runs/x", "a.png", "--with", "pixel_size=0.25") == 0
    assert "100.25" in capsys.readouterr().out


@pytest.mark.usefixtures("model")
def test_without_an_image_the_command_says_what_the_model_expects(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("predict", "runs/x") == 0
    assert capsys.readouterr().out.splitlines() == [
        "head (mm) from images of hc18: ultrasound",
        "  --with pixel_size=…  a positive number",
        "  --with sex=…  F or M, may be left out",
    ]


@pytest.mark.usefixtures("model")
def test_a_broken_image_does_not_cost_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", "runs/x", "broken.png", "good.png") == 1

    told = capsys.readouterr()
    assert "good.png" in told.out
    assert "broken.png: the file ends too early" in told.err


@pytest.mark.usefixtures("model")
def test_a_broken_covariate_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", "runs/x", "a.png", "--with", "pixel_size") == 2
    assert "NAME=VALUE" in capsys.readouterr().err


def test_preparing_tells_what_is_in_the_store(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[Any, ...]] = []

    def prepare(dataset: str, source: str | None, **options: Any) -> Any:
        options.pop("progress")(supremix.Progress(message="preparing images", done=3, total=4))
        calls.append((dataset, source, options))
        return store()

    monkeypatch.setattr(supremix, "prepare", prepare)

    assert run("prepare", "--dataset", "hc18", "--source", "there", "--cache", "c") == 0
    assert calls == [
        ("hc18", "there", {"cache": "c", "stores": None, "address": None, "shape": None})
    ]
    told = capsys.readouterr().out
    assert "3 samples of 2 groups, images 128 x 192, circumference 100 to 120 mm" in told
    assert "1 excluded" in told
    assert "truncated" in told
    assert "1 images occur twice: if that is one patient" in told
    assert "store: cache/abc" in told


def cards() -> list[Any]:
    facts = {"name": "hc18", "shape": (128, 192), "covariates": ({"name": "pixel_size"},)}
    return [
        SimpleNamespace(
            name="hc18", title="Heads", target="circumference", unit="mm", modality="ultrasound",
            shape=(128, 192), licence="CC BY 4.0", to_dict=lambda: facts,
        )
    ]  # fmt: skip


def test_datasets_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supremix, "datasets", cards)

    assert run("datasets") == 0
    assert "hc18" in capsys.readouterr().out
    assert run("datasets", "hc18") == 0
    assert "name pixel_size" in capsys.readouterr().out


def test_an_unknown_dataset_is_answered_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("datasets", "hc81") == 2
    assert "Did you mean 'hc18'? Known: a4-amyloid" in capsys.readouterr().err


def test_the_card_of_ones_own_folder_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("file,target,group\na.png,1,p\nb.png,4,q\n")
    (tmp_path / "dataset.toml").write_text("name = 'knees'\nunit = 'mm'\n")

    assert run("datasets", "table", "--source", str(tmp_path)) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["name", "knees"] in lines
    assert ["label", "range", "1.0,", "4.0"] in lines
    assert run("datasets", "hc18", "--source", str(tmp_path)) == 2
    assert "the same for every folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "datasets"])
def test_a_folder_in_place_of_a_dataset_is_answered_with_table(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my knees").mkdir()

    assert run(command, str(tmp_path / "my knees")) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"supremix check table --source '{tmp_path / 'my knees'}'" in told

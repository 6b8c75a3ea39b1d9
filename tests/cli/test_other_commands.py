from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import supremix
from supremix import cli


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


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

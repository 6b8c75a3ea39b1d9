from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import supremix
from supremix import cli
from supremix_datasets.phantoms.amyloid import write_a4_phantoms


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "120")
    own = tmp_path / "own"
    own.mkdir()
    lines = ["file,target,group,site"]
    for number in range(20):
        Image.effect_noise((32, 40), 50 + number).save(own / f"{number}.png")
        lines.append(f"{number}.png,{20 + number},p{number},{'AB'[number % 2]}")
    lines.append("gone.png,30,p99,A")
    (own / "t.csv").write_text("\n".join(lines))
    (own / "dataset.toml").write_text('target = "age"\nunit = "years"\nname = "faces"\n')
    return own


def test_a_check_tells_what_is_there_and_what_is_not(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("check", "table", "--source", str(folder), "--out", str(tmp_path / "o"))

    assert run(*words, "--quiet") == 0

    told = capsys.readouterr().out
    assert "20 of 21 images usable, of 20 patients" in told
    assert "train" in told
    assert "years" in told
    assert "█" in told
    assert "sites: A (10), B (10)" in told
    assert "1 excluded" in told
    assert "the file is missing" in told
    assert f"missing files of the table: 1. Looked for file://{folder}/gone.png." in told
    assert f"contact sheet of val: {tmp_path / 'o' / 'val.png'}" in told
    assert "usable, a few images were decoded" in told
    assert (tmp_path / "o" / "train.png").is_file()


def test_what_the_reader_warns_of_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    words = ("check", "a4-amyloid", "--quiet", "--out", str(tmp_path / "o"), "--source")
    source = tmp_path / "a4"
    source.mkdir()
    write_a4_phantoms(source, 8, 0, (0, 1))
    assert run(*words, str(source)) == 0
    assert "warning" not in capsys.readouterr().out
    (source / "SUBJINFO.csv").unlink()
    assert run(*words, str(source)) == 0
    assert "warning: there is no SUBJINFO.csv" in capsys.readouterr().out


def test_a_folder_that_cannot_be_used_ends_with_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for picture in folder.glob("*.png"):
        picture.write_bytes(b"no")
    words = ("check", "table", "--out", str(tmp_path / "o"), "--source")

    assert run(*words, str(folder)) == 1
    assert "not usable: no image can be used" in capsys.readouterr().out
    assert run(*words, str(tmp_path / "nowhere")) == 1
    assert "not usable: no folder or file at" in capsys.readouterr().err


def test_a_request_that_makes_no_sense_ends_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "tabel") == 2
    assert "Did you mean 'table'" in capsys.readouterr().err
    assert run("check", "table") == 2
    assert "has no phantom, so its images are needed" in capsys.readouterr().err


def test_full_is_passed_on(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report: Any = supremix.check("table", str(folder), out=tmp_path / "o")
    calls: list[dict[str, Any]] = []

    def check(dataset: str, source: str | None, **options: Any) -> Any:
        options.pop("progress")(supremix.Progress(message="decoding images", done=3, total=4))
        calls.append({"dataset": dataset, "source": source, **options})
        return report

    monkeypatch.setattr(supremix, "check", check)
    assert run("check", "hc18", "--full", "--shape", "32,32", "--cache", "c") == 0
    assert calls == [
        {
            "dataset": "hc18", "source": None, "full": True, "out": None, "shape": (32, 32),
            "cache": "c", "address": None,
        }
    ]  # fmt: skip


def test_phantoms_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[Any, ...]] = []

    def phantom(dataset: str, out: str, **options: Any) -> int:
        options.pop("progress")(supremix.Progress(message="writing parts", done=1, total=16))
        calls.append((dataset, out, options))
        return 64

    monkeypatch.setattr(supremix, "phantom", phantom)
    assert run("phantom", "ukb-t1", "--out", "here", "--n", "64", "--seed", "2") == 0
    assert calls == [("ukb-t1", "here", {"n": 64, "seed": 2})]
    assert "64 phantoms of ukb-t1 in here" in capsys.readouterr().out


def test_phantoms_need_an_empty_folder_and_a_generator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    assert run("phantom", "ukb-t1", "--out", str(tmp_path)) == 2
    assert "is not empty" in capsys.readouterr().err
    assert run("phantom", "hc18", "--out", str(tmp_path / "new")) == 2
    assert "has no phantoms" in capsys.readouterr().err


def test_the_list_of_datasets_says_which_have_phantoms(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run("datasets") == 0
    rows = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines()}
    assert (rows["ukb-t1"], rows["hc18"], rows["table"]) == ("yes", "no", "no")

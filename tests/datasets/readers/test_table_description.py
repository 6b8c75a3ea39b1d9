"""What a dataset.toml may say, and what is said of one that is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from own_pictures import TABLE, reasons

from supremix_datasets import (
    CardError,
    Covariate,
    LabelTableError,
    SourceError,
    prepare,
)
from supremix_datasets.readers.own_table.spec import CARD_KEYS, parse_spec


def test_whatever_is_said_is_not_overruled(make: Callable[..., Path]) -> None:
    toml = """
name = "knees"
title = "Knees"
modality = "X-ray"
target = "age"
unit = "years"
table = "labels.csv"
shape = [64, 96]
spacing = [0.5, 0.5]
label_bin = 0.5
label_scale = 2
window = 7
label_range = [10, 90]
intensity = "range"
dtype = "float16"
gain = 3
offset = 0.5
target_transform = "log"
licence = "ours"
[columns]
target = "target"
[covariates.sex]
values = { F = 0, M = 1 }
default = 0.5
[covariates.pixel_size]
column = "mm"
log = true
per_pixel = true
doc = "mm per pixel"
[augmentation]
flip_axes = [1]
gain = 0.3
"""
    rows = [(f"img/{n:03d}.png", 30 + n, n, "FM"[n % 2], 0.1) for n in range(10)]
    rows[3] = ("img/003.png", 33, 3, "", 0.1)
    rows[4] = ("img/004.png", 34, 4, "f", "")
    rows[5] = ("img/005.png", 35, 5, "F", -1)
    rows[6] = ("img/006.png", 5, 6, "F", 0.1)
    folder = make(rows, ("file", "target", "group", "sex", "mm"), toml)
    dataset = TABLE.at(str(folder))
    card = dataset.card
    assert (card.shape, card.spacing, card.gain, card.offset) == ((64, 96), (0.5, 0.5), 3, 0.5)
    assert (card.label_bin, card.label_scale, card.window) == (0.5, 2, 7)
    assert (card.label_range, card.target_transform) == ((10.0, 90.0), "log")
    assert (card.augmentation.flip_axes, card.augmentation.rotation_deg) == ((1,), 0.0)
    assert card.covariates == (
        Covariate(name="sex", default=0.5, words=(("F", 0.0), ("M", 1.0))),
        Covariate(name="pixel_size", log=True, per_pixel=True, doc="mm per pixel"),
    )
    scan = dataset.reader.scan(dataset.root or "")
    known = {sample.id: sample.covariates for sample in scan.samples}
    assert known["img/000"] == {"sex": 0.0, "pixel_size": 0.1}
    assert known["img/001"] == {"sex": 1.0, "pixel_size": 0.1}
    assert known["img/003"] == {"pixel_size": 0.1}
    assert reasons(folder) == {
        "img/004": "no pixel_size in the table",
        "img/005": "pixel_size must be a positive number, found -1",
        "img/006": "label 5 is outside the possible range 10 to 90 years",
    }


@pytest.mark.parametrize("name", ["labels.csv", "dataset.toml", ""])
def test_folder_description_and_table_are_the_same_source(
    make: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    folder = make(toml='name = "k"\n' if name == "dataset.toml" else None)
    whole = prepare("table", folder, cache=tmp_path / "c")
    assert prepare("table", folder / name, cache=tmp_path / "c").path == whole.path
    assert TABLE.reader.scan(str(folder / name)) == TABLE.reader.scan(str(folder))


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("shapes = [1, 2]", r"no key 'shapes'. Did you mean 'shape'\? There are: name, title"),
        ("shape = 64", "shape must be list, found 64"),
        ("shape = [4, 4]", "each axis of shape must be >= 8"),
        ("channels = true", "channels must be int, found True"),
        ("[columns]\nfiles = 'x'", r"\[columns\]: no key 'files'. Did you mean 'file'"),
        ("[columns]\nfile = 1", "columns.file must be a name"),
        ("[columns]\nfile = '{ID.jpg'", r"columns.file is the pattern '\{ID.jpg' with a brace"),
        ("[columns]\nfile = '{}.jpg'", "a brace too many"),
        ("[columns]\nfile = '{{ID}}.jpg'", "a brace too many"),
        ("[covariates.sex]\nlogs = true", r"no key 'logs'. Did you mean 'log'"),
        ("[covariates.sex]\nlog = 1", "log must be true or false, found 1"),
        ("[covariates.sex]\ndefault = 'x'", "default must be a number"),
        ("[covariates]\nsex = 1", "expected a table of options, found 1"),
        ("covariates = ['a b']", "must be a Python identifier"),
        ("[augmentation]\nrotate = 3", "no key 'rotate'"),
        ("[augmentation]\nrotation_deg = 'much'", "Expected numbers"),
        ("[augmentation]\nrotation_deg = 500", r"rotation_deg must be in \[0, 180\]"),
        ("table = '../labels.csv'", "table must be a path below the folder"),
        ("images = '/data'", "images must be a path below the folder"),
        ("target_transform = 'log'\nlabel_range = [0, 99]", "needs labels above 0"),
        ("label_range = [1]", "does not make a card"),
    ],
)
def test_a_wrong_description_says_what_is_expected(
    make: Callable[..., Path], toml: str, message: str
) -> None:
    with pytest.raises(CardError, match=message):
        TABLE.at(str(make(toml=toml)))


def test_a_source_that_describes_nothing_is_refused(make: Callable[..., Path]) -> None:
    folder = make()
    with pytest.raises(SourceError, match="no folder or file at"):
        TABLE.at(str(folder / "nowhere"))
    with pytest.raises(SourceError, match=r"neither a folder, nor a \.toml"):
        TABLE.at(str(folder / "img/000.png"))
    with pytest.raises(SourceError, match=r"no table in .* with the columns 'file' or 'filename'"):
        TABLE.at(str(folder / "img"))
    (folder / "more.csv").write_text((folder / "labels.csv").read_text())
    with pytest.raises(SourceError, match=r"2 of the tables .* Name the table"):
        TABLE.at(str(folder))
    (folder / "dataset.toml").write_text("table = 'most.csv'")
    with pytest.raises(SourceError, match=r"names the table 'most\.csv', which is not in"):
        TABLE.at(str(folder))
    (folder / "dataset.toml").write_text("table = ")
    with pytest.raises(SourceError, match="cannot be read: Invalid value"):
        TABLE.at(str(folder))


def test_a_pattern_finds_the_table_that_has_its_columns(make: Callable[..., Path]) -> None:
    rows = [(f"{n:03d}", 30 + n, f"p{n}") for n in range(4)]
    folder = make(rows, ("ID", "target", "group"), "[columns]\nfile = 'img/{ID}.png'")
    (folder / "other.csv").write_text("file,target,group\n")
    assert len(TABLE.reader.scan(str(folder)).samples) == 4


def test_a_pattern_with_an_unknown_column_is_refused_by_name(make: Callable[..., Path]) -> None:
    folder = make(toml="[columns]\nfile = '{ID}_a.jpg'")
    with pytest.raises(LabelTableError, match=r"no column 'ID'. .*'group'.* The pattern of"):
        TABLE.at(str(folder))


def test_a_missing_column_shows_the_lines_to_write(make: Callable[..., Path]) -> None:
    rows = [(f"img/{n:03d}.png", 30 + n, f"p{n}", "F") for n in range(4)]
    folder = make(rows, ("file", "age", "group", "gender"))
    with pytest.raises(LabelTableError, match=r"'age'.*dataset\.toml") as error:
        TABLE.at(str(folder))
    lines = str(error.value).partition("\n\n")[2]
    spec = parse_spec(tomllib.loads(lines))
    assert (set(spec.columns), len(spec.files)) == ({"target", "group"}, 1)
    (folder / "dataset.toml").write_text("covariates = ['sex']\ncolumns = {target = 'age'}")
    with pytest.raises(LabelTableError, match=r"no column 'sex'") as error:
        TABLE.at(str(folder))
    lines = str(error.value).partition("\n\n")[2]
    (covariate,) = parse_spec(tomllib.loads(lines)).covariates
    assert covariate.covariate.name == "sex"


def test_the_examples_of_the_page_are_accepted() -> None:
    page = Path(__file__).parents[3] / "docs" / "datasets" / "own-data.md"
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    short, bids, whole = (parse_spec(tomllib.loads(block)) for block in blocks)
    assert short.columns == {"target": "thickness_mm", "group": "patient"}
    assert (bids.bids, bids.files) == (("T1w",), ())
    assert set(whole.card) == set(CARD_KEYS)
    assert [column.covariate.name for column in whole.covariates] == ["sex", "pixel_size"]

"""The images of a cohort: files, a folder, a table with covariates in the user's words."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from workbook import workbook

from supremix_datasets import Covariate, CovariateError, LabelTableError, SourceError, get
from supremix_datasets.cards.sample import Rejected, Sample
from supremix_datasets.readers.own_table.cohort import CohortImage, list_cohort

SEX = Covariate(name="sex", words=(("F", 0.0), ("M", 1.0)))
SIZE = Covariate(name="pixel_size", log=True, default=1.0)
PLAIN = get("hc18").card
CARD = dataclasses.replace(PLAIN, covariates=(SEX, SIZE))
BARE = dataclasses.replace(PLAIN, covariates=())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "cohort"
    for name in ("b.png", "a.jpg", "deep/c.png", "deep/.hidden.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.eye(16, dtype=np.uint8) * 200).save(root / name)
    (root / "readme.md").write_text("no image")
    return root


def listed(found: list[CohortImage]) -> dict[str, str]:
    """By file the id of its image, or the reason why there is none."""
    return {
        one.file: one.found.id if isinstance(one.found, Sample) else one.found.reason
        for one in found
    }


def covariates(found: list[CohortImage]) -> list[dict[str, float] | None]:
    return [dict(one.found.covariates) if isinstance(one.found, Sample) else None for one in found]


def test_a_folder_is_the_images_below_it(folder: Path) -> None:
    found = list_cohort([str(folder)], BARE)
    assert listed(found) == {"a.jpg": "a", "b.png": "b", "deep/c.png": "deep/c"}
    assert all(isinstance(one.found, Sample) and math.isnan(one.found.target) for one in found)


def test_slices_in_one_folder_are_one_volume(tmp_path: Path) -> None:
    for name in ("p1/1.dcm", "p1/2.dcm", "p2/1.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"slice")
    volume = dataclasses.replace(BARE, shape=(8, 8, 8), spacing=None, period=None)
    found = list_cohort([str(tmp_path)], volume)
    assert listed(found) == {"p1": "p1", "p2": "p2"}
    assert [one.found.address.endswith("/p1/") for one in found] == [True, False]
    assert listed(list_cohort([str(tmp_path / "p2")], volume)) == {"p2": "p2"}
    assert len(list_cohort([str(tmp_path)], BARE)) == 3


def test_files_have_what_is_given_in_common(folder: Path) -> None:
    files = [str(folder / "b.png"), str(folder / "none.png")]
    found = list_cohort(files, CARD, {"sex": "m"})
    assert [one.file for one in found] == files
    assert covariates(found) == [{"sex": 1.0}, {"sex": 1.0}]


@pytest.mark.parametrize("ending", ["csv", "parquet", "xlsx"])
def test_a_table_has_a_row_an_image_in_the_words_of_the_user(folder: Path, ending: str) -> None:
    rows = {
        "image": ["b.png", "a.jpg", "deep/c.png", "gone.png", "b.png", None],
        "image_id": ["one", None, "three", "four", "five", "six"],
        "sex": ["F", "m", "x", "F", None, "F"],
        "pixel_size": ["0.5", None, "1", "1", "1", "1"],
    }
    table = folder / f"new.{ending}"
    frame = pl.DataFrame(rows)
    if ending == "csv":
        frame.write_csv(table)
    elif ending == "parquet":
        frame.write_parquet(table)
    else:
        workbook(table, [list(rows), *frame.fill_null("").iter_rows()])
    found = list_cohort([str(table)], CARD)
    assert [one.found.id for one in found] == ["one", "a", "three", "four", "five", "six"]
    assert covariates(found) == [
        {"sex": 0.0, "pixel_size": 0.5}, {"sex": 1.0}, None, None, None, None,
    ]  # fmt: skip
    assert [one.found.reason for one in found if isinstance(one.found, Rejected)] == [
        "sex must be F or M, found 'x'",
        "the file is missing",
        "no sex in the table",
        "no file in the table",
    ]


def test_what_is_given_fills_what_the_table_lacks(folder: Path) -> None:
    (folder / "new.csv").write_text("file,sex\nb.png,F\na.jpg,\n")
    found = list_cohort([str(folder / "new.csv")], CARD, {"sex": "M", "pixel_size": 2})
    assert covariates(found) == [{"sex": 0, "pixel_size": 2}, {"sex": 1, "pixel_size": 2}]


def test_a_description_names_the_columns(folder: Path) -> None:
    (folder / "new.csv").write_text("ID,gender\nb,F\nc,M\n")
    (folder / "dataset.toml").write_text(
        '[columns]\nfile = "{ID}.png"\nid = "ID"\n[covariates.sex]\ncolumn = "gender"\n'
    )
    found = list_cohort([str(folder)], CARD)
    assert listed(found) == {"b.png": "b", "c.png": "the file is missing"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no column 'sex'.* or give one value for all images: sex="),
        ({"sex": "x"}, "sex must be F or M, found 'x'"),
        ({"age": 3.0}, r"found also \['age'\]"),
        ({"sex": "F", "pixel_size": -1.0}, "pixel_size must be a positive number, found -1.0"),
    ],
)
def test_what_holds_for_no_row_is_refused_before(
    folder: Path, given: dict[str, float | str], message: str
) -> None:
    (folder / "new.csv").write_text("file\nb.png\n")
    with pytest.raises((LabelTableError, CovariateError), match=message):
        list_cohort([str(folder / "new.csv")], CARD, given)


def test_a_covariate_that_no_table_can_have_is_refused_before(folder: Path) -> None:
    with pytest.raises(CovariateError, match="needs sex"):
        list_cohort([str(folder)], CARD)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(SourceError, match=r"no image in .*\.png"):
        list_cohort([str(tmp_path)], BARE)
    with pytest.raises(SourceError, match="no folder or file"):
        list_cohort([str(tmp_path / "gone.csv")], BARE)
    with pytest.raises(SourceError, match=r"no folder or file at .*gone'. Name a folder of images"):
        list_cohort([str(tmp_path / "gone")], BARE)


def test_a_path_out_of_the_tables_folder_is_not_opened(folder: Path) -> None:
    (folder / "new.csv").write_text("file\n../a.png\n")
    (problem,) = listed(list_cohort([str(folder / "new.csv")], BARE)).values()
    assert problem == "the table names a file outside the dataset's folder"

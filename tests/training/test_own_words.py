"""A category keeps its word from a user's table to the predictions and to the exported model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from supremix.models import EncoderSpec
from supremix.training import ModelInputError, Task, TrainedModel, TrialRun
from supremix_datasets import LabelTableError, Store, check, prepare

PICTURES = 40
WORDS = ("M", "F", "f", "")
TOML = "shape = [16, 16]\n[covariates.sex]\ndefault = 0.5\n"
MALE_IS_0 = TOML + "values = { M = 0, F = 1 }\n"


def write(folder: Path, cells: tuple[str, ...], toml: str) -> Path:
    """Pictures whose sex runs through the cells, with their table."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,target,group,sex"]
    for k in range(PICTURES):
        pixels = rng.integers(0, 255, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:02d}.png")
        rows.append(f"{k:02d}.png,{k + 1},p{k},{cells[k % len(cells)]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "dataset.toml").write_text(toml)
    return folder


def trained(store: Store) -> TrialRun:
    encoder = EncoderSpec(width=4)
    run = TrialRun(
        Task(store=store.path, method="l1", encoder=encoder, epochs=1, threads=1), {"batch_size": 8}
    )
    run.advance()
    return run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("words")
    return prepare("table", write(folder / "own", WORDS, MALE_IS_0), cache=folder / "cache")


@pytest.fixture(scope="module")
def run(store: Store) -> TrialRun:
    return trained(store)


def test_predictions_carry_the_words_of_the_table(run: TrialRun) -> None:
    rows = run.evaluate("train")
    expected = [("M", "F", "F", None)[int(name) % 4] for name in rows["id"]]
    assert rows["sex"].tolist() == expected
    assert len(set(expected)) == 3


def test_the_model_sees_the_numbers_of_the_words(store: Store) -> None:
    assert store.covariates[:4, 0].tolist() == [0, 1, 1, 0.5]


def test_numbers_without_words_are_shown_as_they_are_read(tmp_path: Path) -> None:
    store = prepare("table", write(tmp_path / "own", ("0", "1", "1.0", ""), TOML), cache=tmp_path)
    rows = trained(store).evaluate("train")
    assert rows["sex"].tolist() == [("0", "1", "1", None)[int(name) % 4] for name in rows["id"]]


def test_a_loaded_model_takes_the_words_and_says_which(run: TrialRun, tmp_path: Path) -> None:
    run.export(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["card"]["covariates"][0]["words"] == [["M", 0.0], ["F", 1.0]]
    model = TrainedModel.load(tmp_path)
    assert model.expected == {"sex": "M or F, may be left out"}
    image = np.random.default_rng(1).uniform(0, 255, (16, 16))
    male, female = model.predict(image, sex="M"), model.predict(image, sex="F")
    unknown = model.predict(image)
    assert len({male, female, unknown}) == 3
    assert model.predict([image, image], sex=["f", "m"]).tolist() == [female, male]


@pytest.mark.parametrize("value", ["7", 7, 0, 1.0, "male", None])
def test_a_loaded_model_refuses_other_words(run: TrialRun, tmp_path: Path, value: object) -> None:
    run.export(tmp_path)
    with pytest.raises(ModelInputError, match=r"sex must be M or F, found '"):
        TrainedModel.load(tmp_path).predict(np.eye(16), sex=value)


def test_words_that_are_not_declared_are_refused_with_their_line(tmp_path: Path) -> None:
    source = write(tmp_path / "own", ("M", "F", "7", "x"), MALE_IS_0)
    message = "20 of 40 values of the column 'sex' .* are not M or F (line 4: '7'; line 5: 'x'; "
    with pytest.raises(LabelTableError, match=re.escape(message).replace(r"\.\*", ".*")):
        prepare("table", source, cache=tmp_path)


def test_a_check_counts_the_words(store: Store, tmp_path: Path) -> None:
    report = check("table", str(store.manifest["source"]), out=tmp_path)
    (sex,) = report.covariates
    assert (sex.words, sex.known, sex.images) == ({"F": 20, "M": 10}, 30, 40)


def test_the_index_holds_what_was_read(store: Store) -> None:
    assert (
        store.index.select("sex", "sex as read")
        .head(4)
        .equals(
            pl.DataFrame(
                {"sex": [0, 1, 1, 0.5], "sex as read": ["M", "F", "F", None]},
                schema={"sex": pl.Float32, "sex as read": pl.String},
            )
        )
    )

"""Explanations of named images and of a run's cases: pictures, maps, and what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
from PIL import Image
from trained_table import train_on_table, with_second_network, write_images

import supremix
from supremix.errors import UnknownNameError
from supremix.explanation.grids import on_file_grid
from supremix.training import ModelInputError
from supremix_datasets import Decoded
from supremix_datasets.stores.conform import conform
from supremix_reports import read_table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_on_table(tmp_path_factory.mktemp("explained"))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_on_table(tmp_path_factory.mktemp("volumes"), (16, 16, 16))


def test_the_best_median_and_worst_case_are_explained_from_the_source(run: Path) -> None:
    found = supremix.explain(run)
    table = read_table(str(run), "predictions").with_columns(
        error=(pl.col("prediction") - pl.col("target")).abs()
    )
    ids = table.sort("error", "id")["id"].to_list()
    assert [one.name for one in found] == [ids[0], ids[(len(ids) - 1) // 2], ids[-1]]
    known = dict(table.select("id", "prediction").rows())
    assert [one.prediction for one in found] == pytest.approx([known[one.name] for one in found])
    folder = run / "explanations" / "occlusion"
    assert {path.name for path in folder.iterdir()} == {
        "cases.json",
        *(f"{case}.{end}" for case in ("best", "median", "worst") for end in ("png", "npz")),
    }
    assert [one["case"] for one in json.loads((folder / "cases.json").read_text())] == [
        "best",
        "median",
        "worst",
    ]
    assert (folder / "best.png").read_bytes().startswith(b"\x89PNG")


def test_the_mean_of_an_ensemble_is_explained(run: Path, tmp_path: Path) -> None:
    both = with_second_network(run, tmp_path / "run", by=10)
    for ensemble, more in ((False, 0), (True, 5)):
        (found,) = supremix.explain(
            both, run.parent / "images" / "00.png", "grad-cam", tmp_path / f"maps{more}",
            covariates={"sex": "F"}, ensemble=ensemble,
        )  # fmt: skip
        one = supremix.load(run).predict(str(run.parent / "images" / "00.png"), sex="F")
        assert found.prediction == pytest.approx(one + more)


def test_a_map_is_on_the_grid_of_the_file(run: Path, tmp_path: Path) -> None:
    large = np.random.default_rng(0).integers(0, 255, (40, 60)).astype(np.uint8)
    Image.fromarray(large).save(tmp_path / "large.png")
    (found,) = supremix.explain(
        run, tmp_path / "large.png", "grad-cam", tmp_path / "maps", covariates={"sex": "F"}
    )
    content = np.load(tmp_path / "maps" / found.map)
    assert content["map"].shape == (40, 60)
    assert content["model_grid"].shape == (16, 16)
    assert content["model_grid"].max() in (0, pytest.approx(1))
    assert content["prediction"] == pytest.approx(found.prediction)
    assert found.layer
    assert (found.picture, found.map) == ("large.png", "large.npz")
    expected = supremix.load(run).predict(str(tmp_path / "large.png"), sex="F")
    assert found.prediction == pytest.approx(expected)


def test_a_volume_has_its_map_as_nifti_over_the_file(volumes: Path, tmp_path: Path) -> None:
    source = write_images(tmp_path / "new", 1, (12, 20, 16)) / "00.nii.gz"
    stored = nib.load(source)
    turned = nib.Nifti1Image(np.asarray(stored.dataobj)[::-1], np.diag([-2.0, 2.0, 2.0, 1.0]))
    nib.save(turned, source)
    (found,) = supremix.explain(
        volumes, source, out=tmp_path / "maps", covariates={"sex": "M", "age": 30}
    )
    assert found.map.endswith(".nii")
    made = nib.load(tmp_path / "maps" / found.map)
    assert made.shape == (12, 20, 16)
    expected = nib.as_closest_canonical(turned).affine
    assert np.allclose(made.affine, expected)


@pytest.mark.parametrize("shape", [(32, 32), (40, 16), (8, 8)])
def test_a_map_on_the_file_becomes_the_map_on_the_grid(run: Path, shape: tuple[int, int]) -> None:
    card = supremix.load(run).card
    ramp = np.linspace(20, 200, 16)[:, None] + np.arange(16.0)
    there = on_file_grid(ramp, Decoded(np.zeros(shape)), card)
    assert there.shape == shape
    back = conform(Decoded(there), card)[0].astype(float)
    inside = np.s_[3:-3, 7:-7]
    assert np.abs(back - ramp)[inside].max() < 4


def test_an_image_that_cannot_be_read_costs_no_other_its_map(run: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    good = str(next((run.parent / "images").glob("*.png")))
    first, second = supremix.explain(
        run, [str(tmp_path / "broken.png"), good], out=tmp_path / "maps", covariates={"sex": "F"}
    )
    assert first.problem is not None
    assert first.prediction is None
    assert second.problem is None
    assert {path.suffix for path in (tmp_path / "maps").iterdir()} == {".png", ".npz"}


def test_what_is_no_run_or_no_method_is_refused(run: Path) -> None:
    with pytest.raises(ModelInputError, match="not the folder of a run"):
        supremix.explain(run / "best")
    with pytest.raises(UnknownNameError, match="grad-cam, occlusion"):
        supremix.explain(run, method="saliency")


def test_the_command_shows_predictions_and_where_the_maps_are(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from supremix import cli

    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(SystemExit, match="0"):
        cli.main(
            ["predict", str(run), "--explain", "occlusion", "-q", "--maps", str(tmp_path / "m")]
        )
    shown = capsys.readouterr().out
    assert "best: " in shown
    assert "worst.png, worst.npz" in shown
    assert "pictures of patients" in shown
    words = ["predict", str(run), str(tmp_path / "broken.png"), "--with", "sex=F", "--explain"]
    with pytest.raises(SystemExit, match="1"):
        cli.main([*words, "occlusion", "-q", "--maps", str(tmp_path / "n")])
    assert "broken.png" in capsys.readouterr().err

"""Each of the six datasets from its files to a result, by the commands of the documents."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from supremix import cli
from supremix_datasets import get

pytestmark = [pytest.mark.slow, pytest.mark.long]

SIX = ("ukb-t1", "hcp-aging", "rsna-bone-age", "echonet-dynamic", "adni-amyloid", "a4-amyloid")
COUNT = 40
SMALL = {"rsna-bone-age": "32,32", "echonet-dynamic": "8,28,28"}


def supremix(*words: str) -> None:
    """The command, in this process, so that all share one Ray."""
    with pytest.raises(SystemExit) as end:
        cli.main([*words, "--quiet"])
    assert end.value.code in (0, None), words


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("name", SIX)
def test_from_the_official_files_to_a_result(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, sheets, run = tmp_path / "source", tmp_path / "sheets", tmp_path / "run"
    shape = ("--shape", SMALL.get(name, "16,18,16"))

    supremix("phantom", name, "--out", str(source), "--n", str(COUNT), "--seed", "3")
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}

    supremix("check", name, "--source", str(source), "--full", "--out", str(sheets))
    output = capsys.readouterr().out
    assert f"{COUNT} " in output
    assert get(name).card.unit in output
    for split in ("train", "val", "test"):
        with Image.open(sheets / f"{split}.png") as sheet:
            assert len(sheet.convert("L").getcolors(1 << 16) or []) > 20

    data = ("--dataset", name, "--source", str(source), *shape)
    supremix("prepare", *data)
    assert f"{COUNT} samples" in capsys.readouterr().out

    supremix(
        "search", *data, "--method", "supremix", "--trials", "1", "--epochs", "2", "--seed", "0",
        "--width", "4", "--concurrent-trials", "1", "--cpus-per-worker", "1",
        "--set", "batch_size=8", "--set", "projection_dim=8", "--finalists", "1",
        "--confirm-seeds", "1", "--out", str(run),
    )  # fmt: skip
    predictions = pl.read_parquet(run / "predictions.parquet")
    assert set(predictions["split"]) == {"val", "test"}
    assert predictions["prediction"].is_finite().all()
    trials = pl.read_parquet(run / "trials.parquet")
    assert trials["state"].to_list() == ["finished"] * 2
    assert trials["replicate_of"].to_list() == [None, 0]
    # a source is read, never written to
    after = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    assert after == before

"""A reader of the user's own: found by its import path, and held to what a reader gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discs import DiscReader, write_discs
from PIL import Image

from supremix_datasets import (
    CardError,
    Dataset,
    Sample,
    Scan,
    SourceError,
    TooFewSamplesError,
    UnknownDatasetError,
    check,
    get,
    prepare,
)

MODULE = """
from discs import DiscReader
from supremix_datasets import Dataset, get
DATASET = Dataset(card=get("hc18").card, reader=DiscReader())
NOTHING = 3
"""
SAMPLE = Sample(id="a", group="p", target=1.0, address="a.png")


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_discs.py").write_text(MODULE)
    (tmp_path / "my_broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own_module")
def test_a_dataset_is_found_by_its_import_path_and_known_as_it() -> None:
    found = get("my_discs:DATASET")
    assert isinstance(found.reader, DiscReader)
    assert found.known_as == "my_discs:DATASET"


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("my_nowhere:DATASET", r"No module named 'my_nowhere'.*PYTHONPATH=FOLDER"),
        ("my_discs:NOWHERE", "has no attribute 'NOWHERE'"),
        ("my_discs:NOTHING", r"expected a supremix_datasets.Dataset.*found int"),
        ("my_broken:DATASET", "importing it raised ZeroDivisionError"),
    ],
)
def test_an_import_path_to_something_else_is_refused(path: str, message: str) -> None:
    with pytest.raises(UnknownDatasetError, match=message):
        get(path)


class NoDecode:
    version = 1

    def scan(self, source: str) -> Scan:
        return Scan(samples=())


class TooFewArguments(NoDecode):
    def decode(self) -> Any: ...


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        (DiscReader, r"found the class DiscReader; make one: reader=DiscReader\(\)"),
        (NoDecode(), r"version, scan\(source\) and decode\(address\), found NoDecode"),
        (TooFewArguments(), r"decode\(address\), found TooFewArguments"),
        (None, "found NoneType"),
    ],
)
def test_what_is_no_reader_is_refused(discs: Dataset, reader: Any, message: str) -> None:
    with pytest.raises(CardError, match=message):
        dataclasses.replace(discs, reader=reader)
    with pytest.raises(CardError, match="card has to be a Card, found dict"):
        dataclasses.replace(discs, card={})  # type: ignore[arg-type]


class Gives(DiscReader):
    def __init__(self, scan: Any = None, pixels: Any = None) -> None:
        self.found, self.pixels = scan, pixels

    def scan(self, source: str) -> Any:
        return self.found if self.pixels is None else super().scan(source)

    def decode(self, address: str) -> Any:
        return self.pixels


def changed(**values: Any) -> Scan:
    return Scan(samples=(dataclasses.replace(SAMPLE, **values),))


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        ([SAMPLE], "has to give a Scan of samples.*its scan gave list"),
        (None, "its scan gave NoneType"),
        (Scan(samples=("a.png",)), "gave 'a.png', expected a Sample"),  # type: ignore[arg-type]
        (changed(id=3), "a sample with id=3, expected a text"),
        (changed(group=""), "a sample with group='', expected a text"),
        (changed(address=Path("a.png")), "address=.*expected a text"),
        (changed(target="12"), "the target '12', expected a finite number; give a Rejected"),
        (changed(target=float("nan")), "the target nan, expected a finite number"),
        (changed(split="dev"), "the split 'dev', expected one of train, val, test"),
        (Scan(samples=(SAMPLE, SAMPLE)), "name each image once; 1 names .* for instance 'a'"),
    ],
)
def test_a_scan_of_something_else_is_refused(discs: Dataset, scan: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        dataclasses.replace(discs, reader=Gives(scan)).scan("anywhere")


@pytest.mark.parametrize("pixels", ["a.png", np.zeros(3), object()])
def test_pixels_that_are_none_exclude_the_images_with_the_reason(
    discs: Dataset, pixels: Any, tmp_path: Path
) -> None:
    write_discs(tmp_path, 12)
    own = dataclasses.replace(discs, reader=Gives(pixels=pixels))
    with pytest.raises(TooFewSamplesError, match=r"only 0 of 12 images.*Most frequent reasons"):
        prepare(own, tmp_path, cache=tmp_path / "cache")


class OpensByPath(DiscReader):
    """Opens files as a user would; addresses are URLs where the scan lists by fsspec."""

    def scan(self, source: str) -> Scan:
        path = next(Path(source).glob("*.png"))
        found = [(str(path.absolute()), "path"), (f"file://{path.absolute()}", "url")]
        samples = [Sample(id=n, group=n, target=1.0, address=a) for a, n in found]
        return Scan(samples=tuple(samples))

    def decode(self, address: str) -> np.ndarray:
        return np.asarray(Image.open(address))


def test_a_local_file_is_decoded_by_its_path_and_counts_as_used(
    discs: Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    Image.fromarray(np.arange(768, dtype=np.uint8).reshape(24, 32)).save(folder / "one.png")
    card = dataclasses.replace(discs.card, covariates=())
    own = Dataset(card=card, reader=OpensByPath())
    report = check(own, folder, out=tmp_path / "sheets")
    assert (report.images, report.unused) == (2, 0)

from __future__ import annotations

import builtins
import gzip
import multiprocessing
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from counting_reader import DECODED, Counting

from supremix_datasets import (
    Dataset,
    Decoded,
    Sample,
    Scan,
    SourceError,
    Store,
    TooFewSamplesError,
    UnknownDatasetError,
    get,
    names,
    prepare,
)
from supremix_datasets.stores.prepare import _reader_key

Make = Callable[..., Path]
MNI = "T1/T1_brain_to_MNI.nii.gz"


def test_every_file_is_decoded_once_and_never_again(
    counted: Dataset, make_hc18: Make, tmp_path: Path
) -> None:
    folder, cache = make_hc18(), tmp_path / "c"
    first = prepare(counted, folder, cache=cache)
    assert sorted(DECODED) == [f"{n:03d}_HC.png" for n in range(10)]
    assert first.manifest["counts"] == {"kept": 10, "excluded": 0, "decoded": 10}
    second = prepare(counted, folder, cache=cache)
    assert len(DECODED) == 10
    assert second.path == first.path


def test_the_second_time_not_even_the_table_is_read(
    make_hc18: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, folder = get("hc18"), make_hc18()
    first = prepare(dataset, folder, cache=tmp_path / "c")
    monkeypatch.setattr(type(dataset.reader), "scan", None)
    assert prepare(dataset, folder, cache=tmp_path / "c").key == first.key


def test_a_moved_folder_is_the_same_dataset(
    counted: Dataset, make_hc18: Make, tmp_path: Path
) -> None:
    folder, cache = make_hc18(), tmp_path / "c"
    first = prepare(counted, folder, cache=cache)
    shutil.copytree(folder, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    assert prepare(counted, tmp_path / "elsewhere", cache=cache).key == first.key
    assert len(DECODED) == 10


@pytest.mark.parametrize("change", ["picture", "label", "file", "card", "version"])
def test_whatever_goes_in_changes_the_key(
    counted: Dataset, make_hc18: Make, tmp_path: Path, change: str
) -> None:
    folder, cache = make_hc18(), tmp_path / "c"
    first = prepare(counted, folder, cache=cache)
    table = folder / "training_set_pixel_size_and_HC.csv"
    pictures = folder / "training_set"
    if change == "picture":
        shutil.copyfile(pictures / "000_HC.png", pictures / "001_HC.png")
    elif change == "label":
        table.write_text(table.read_text().replace("110", "111"))
    elif change == "file":
        (pictures / "009_HC.png").unlink()
    elif change == "card":
        counted = replace(counted, card=replace(counted.card, shape=(64, 96)))
    else:
        counted = replace(counted, reader=Counting(version=2))
    second = prepare(counted, folder, cache=cache)
    assert second.key != first.key
    assert Store.open(first.path).key == first.key


def test_truncated_and_missing_pictures_are_excluded(make_hc18: Make, tmp_path: Path) -> None:
    folder = make_hc18()
    pictures = folder / "training_set"
    data = (pictures / "003_HC.png").read_bytes()
    (pictures / "003_HC.png").write_bytes(data[: len(data) // 2])
    (pictures / "004_HC.png").write_bytes(b"")
    (pictures / "005_HC.png").unlink()
    (pictures / "006_HC.png").write_text("not a picture")
    store = prepare("hc18", folder, cache=tmp_path / "c")
    assert len(store) == 6
    reasons = {row["id"]: row["reason"] for row in store.quarantine.iter_rows(named=True)}
    assert set(reasons) == {"003_HC", "004_HC", "005_HC", "006_HC"}
    assert "not a readable picture" in reasons["003_HC"]
    assert reasons["004_HC"] == "the file is empty"
    assert reasons["005_HC"] == "the file is missing"
    assert "not a readable picture" in reasons["006_HC"]
    assert "training_set/003_HC.png" in store.quarantine["address"].to_list()
    # what is left kept its own image
    alone = tmp_path / "alone"
    whole = prepare("hc18", make_hc18(name="whole"), cache=alone)
    keep = [n for n in range(10) if n not in (3, 4, 5, 6)]
    np.testing.assert_array_equal(store.images, whole.images[keep])


def test_a_corrupt_volume_is_excluded(make_ukb: Make, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(1, 900, (18, 22, 18)).astype(np.int16)
    brain = gzip.compress(nib.Nifti1Image(data, np.diag([10.0, 10, 10, 1])).to_bytes())
    scans = {"1_2": {MNI: brain}, "2_2": {MNI: brain[:300]}, "3_2": {MNI: brain}}
    folder = make_ukb(scans, rows=[(n, 0, 50, 60 + n, "") for n in (1, 2, 3)])
    store = prepare("ukb-t1", folder, cache=tmp_path / "c", spacing=(6, 6, 6))
    assert store.index["id"].to_list() == ["1_2", "3_2"]
    assert "not a readable NIfTI" in store.quarantine["reason"][0]


def test_all_bad_is_an_error_and_leaves_no_store(make_hc18: Make, tmp_path: Path) -> None:
    folder = make_hc18()
    for picture in (folder / "training_set").iterdir():
        picture.write_bytes(b"no")
    with pytest.raises(TooFewSamplesError, match=r"only 0 of 10 images .*not a readable .*×"):
        prepare("hc18", folder, cache=tmp_path / "c", min_fraction=0.0)
    assert list((tmp_path / "c" / "stores").iterdir()) == []


def test_too_few_good_ones_are_an_error(make_hc18: Make, tmp_path: Path) -> None:
    folder, cache = make_hc18(), tmp_path / "c"
    for n in range(6):
        (folder / "training_set" / f"{n:03d}_HC.png").unlink()
    with pytest.raises(TooFewSamplesError, match=r"only 4 of 10 .* at least 5 .* min_fraction"):
        prepare("hc18", folder, cache=cache)
    assert len(prepare("hc18", folder, cache=cache, min_fraction=0.4)) == 4
    with pytest.raises(TooFewSamplesError, match="only 4 of 10"):
        prepare("hc18", folder, cache=cache)


def test_any_mapper_gives_the_same_store(make_hc18: Make, tmp_path: Path) -> None:
    def through_pickle(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        for item in items:
            job, chunk = pickle.loads(pickle.dumps((function, item)))  # noqa: S301
            yield pickle.loads(pickle.dumps(job(chunk)))  # noqa: S301

    folder = make_hc18()
    steps: list[tuple[int, int]] = []
    one = prepare("hc18", folder, cache=tmp_path / "a")
    two = prepare(
        "hc18",
        folder,
        cache=tmp_path / "b",
        mapper=through_pickle,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert one.key == two.key
    assert steps == [(8, 10), (10, 10)]
    np.testing.assert_array_equal(one.images, two.images)
    assert one.index.equals(two.index)


def _prepare_in_process(folder: str, cache: str, barrier: Any) -> None:
    barrier.wait()
    prepare("hc18", folder, cache=cache)


def test_two_that_race_end_with_one_store(make_hc18: Make, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    folder, cache, barrier = make_hc18(), tmp_path / "c", context.Barrier(2)
    arguments = (str(folder), str(cache), barrier)
    racers = [context.Process(target=_prepare_in_process, args=arguments) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
        assert racer.exitcode == 0
    assert len(list((cache / "stores").iterdir())) == 1
    assert len(prepare("hc18", folder, cache=cache)) == 10


def test_a_source_may_be_any_address(make_hc18: Make, tmp_path: Path) -> None:
    import fsspec

    folder = make_hc18()
    memory: Any = fsspec.filesystem("memory")
    memory.put(str(folder), "/bucket/hc18", recursive=True)
    one = prepare("hc18", "memory://bucket/hc18", cache=tmp_path / "c")
    two = prepare("hc18", folder, cache=tmp_path / "c")
    assert one.key == two.key
    with pytest.raises(SourceError, match="cannot use the address"):
        prepare("hc18", "nosuchscheme://bucket", cache=tmp_path / "c")


def test_names_and_sources_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UnknownDatasetError, match="Known"):
        prepare("hc19", tmp_path, cache=tmp_path / "c")
    with pytest.raises(SourceError, match="no folder at"):
        prepare("hc18", tmp_path / "nowhere", cache=tmp_path / "c")
    with pytest.raises(SourceError, match="has no phantoms"):
        prepare("hc18", cache=tmp_path / "c")


@dataclass(frozen=True)
class Own:
    """A reader as a user may write it: bare arrays, plain exceptions, an official split."""

    version: int = 1
    fault: str = "ValueError"

    def scan(self, source: str) -> Scan:
        def sample(n: int) -> Sample:
            split = ("train", "val", "test")[n % 3]
            return Sample(id=str(n), group=str(n), target=n, address=f"{n}", split=split)

        return Scan(samples=tuple(sample(n) for n in range(9)))

    def decode(self, address: str) -> Decoded | np.ndarray:
        if address == "4":
            raise getattr(builtins, self.fault)("four is bad")
        return np.random.default_rng(int(address)).random((20, 30)) * 255


@pytest.mark.parametrize(
    "fault", ["ValueError", "KeyError", "MemoryError", "RecursionError", "TypeError"]
)
def test_a_users_own_dataset_and_any_fault_of_one_file(fault: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("x")
    card = replace(get("hc18").card, name="own", covariates=(), shape=(16, 24))
    store = prepare(
        Dataset(card=card, reader=Own(fault=fault)), tmp_path / "data", cache=tmp_path / "c"
    )
    assert store.index["split"].to_list()[:3] == ["train", "val", "test"]
    assert store.covariates.shape == (8, 0)
    (reason,) = store.quarantine["reason"].to_list()
    assert fault in reason
    assert "four is bad" in reason


@pytest.mark.parametrize("name", names())
def test_a_store_is_known_by_the_datasets_name_and_the_readers_version(name: str) -> None:
    dataset = get(name)
    facts = _reader_key(dataset)

    assert facts[:2] == [name, dataset.reader.version]
    assert "supremix" not in repr(facts)


def test_a_store_is_found_after_its_reader_has_moved(
    counted: Dataset, make_hc18: Make, tmp_path: Path
) -> None:
    folder, cache = make_hc18(), tmp_path / "c"
    first = prepare(counted, folder, cache=cache)
    moved = type("Elsewhere", (Counting,), {"__module__": "another.room"})
    again = prepare(replace(counted, reader=moved()), folder, cache=cache)

    assert (again.key, len(DECODED)) == (first.key, 10)


def test_the_settings_of_a_reader_decide_the_store(
    counted: Dataset, make_hc18: Make, tmp_path: Path
) -> None:
    @dataclass(frozen=True)
    class Windowed(Counting):
        window: int = 40

    folder, cache = make_hc18(), tmp_path / "c"
    keys = {
        prepare(replace(counted, reader=Windowed(window=window)), folder, cache=cache).key
        for window in (40, 80)
    }

    assert len(keys) == 2


def test_a_store_has_an_absolute_path_wherever_the_cache_was_named_from(
    make_hc18: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_hc18()
    monkeypatch.chdir(tmp_path)

    store = prepare("hc18", folder, cache="here")

    assert Path(store.path).is_absolute()
    assert Path(store.path).is_relative_to(tmp_path / "here")

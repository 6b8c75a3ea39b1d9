from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from supremix_datasets import (
    Dataset,
    SourceError,
    check,
    get,
    write_phantoms,
)
from supremix_datasets.cards.dataset import Phantom
from supremix_datasets.checks.check import PICTURES
from supremix_datasets.phantoms.folder import PARTS

Make = Callable[..., Path]


def fingerprint(folder: Path) -> list[tuple[str, int, int]]:
    return sorted(
        (str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    )


@pytest.fixture
def many(make_hc18: Make) -> Path:
    return make_hc18([(f"{n:03d}_HC.png", 0.1 + 0.001 * n, 100 + n) for n in range(60)])


def test_a_good_folder_is_told_to_be_good(many: Path, tmp_path: Path) -> None:
    before = fingerprint(many)
    report = check("hc18", many, out=tmp_path / "o")
    assert report.usable
    assert (report.listed, report.images, report.groups, report.decoded) == (60, 60, 60, 36)
    assert [(s.name, s.images, s.official) for s in report.splits] == [
        ("train", 36, False), ("val", 12, False), ("test", 12, False),
    ]  # fmt: skip
    assert min(s.low for s in report.splits) == 100
    assert max(s.high for s in report.splits) == 159
    assert sum(report.label_counts) == 60
    assert (report.label_edges[0], report.label_edges[-1]) == (100, 159)
    (pixel_size,) = report.covariates
    assert (pixel_size.known, pixel_size.low, pixel_size.high) == (60, 0.1, pytest.approx(0.159))
    assert report.sizes == {"54 x 80": 36}
    assert (report.problems, report.copies, report.unused, report.faults) == ((), (), 0, ())
    assert fingerprint(many) == before


def test_a_sheet_is_written_for_every_split(many: Path, tmp_path: Path) -> None:
    report = check("hc18", many, out=tmp_path / "o")
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == [
        "test.png", "train.png", "val.png",
    ]  # fmt: skip
    for split in report.splits:
        assert split.sheet is not None
        with Image.open(split.sheet) as sheet:
            sheet.load()


def test_only_full_finds_what_is_damaged_anywhere(many: Path, tmp_path: Path) -> None:
    pictures = sorted((many / "training_set").iterdir())
    report = check("hc18", many, out=tmp_path / "o", full=True)
    assert (report.decoded, report.excluded) == (60, 0)
    for path in pictures[:20]:
        path.write_bytes(path.read_bytes()[:300])
    pictures[20].write_bytes(b"")
    quick = check("hc18", many, out=tmp_path / "o")
    full = check("hc18", many, out=tmp_path / "o", full=True)
    assert full.decoded == 60
    assert full.images == 39
    assert quick.decoded == 3 * PICTURES
    assert full.usable
    assert [(p.count, p.example) for p in full.problems] == [(20, "000_HC"), (1, "020_HC")]
    assert full.problems[1].reason == "the file is empty"
    assert sum(s.images for s in full.splits) == 39


def test_what_is_missing_doubled_or_impossible_is_grouped_by_reason(
    make_hc18: Make, tmp_path: Path
) -> None:
    rows = [(f"{n:03d}_HC.png", 0.1, 100 + n) for n in range(30)]
    rows += [("040_HC.png", 0.1, 5000 + n) for n in range(1)]
    rows += [("041_HC.png", 0.1, 6000), ("000_HC.png", 0.1, 105), ("050_HC.png", 0.1, 100)]
    rows += [("001_HC.png", 0.1, 101)]  # agrees with the row above
    folder = make_hc18(rows, skip=["050_HC.png"])
    (folder / "notes.txt").write_text("hello")
    report = check("hc18", folder, out=tmp_path / "o")
    told = {p.reason: p.count for p in report.problems}
    assert told == {
        "label 5000 is outside the possible range 20 to 500 mm": 2,
        "the table lists it more than once, with different values": 1,
        "the file is missing": 1,
    }
    assert report.excluded == 4
    assert report.listed == 33
    assert report.unused == 1


def test_one_picture_under_two_people_is_pointed_out(many: Path, tmp_path: Path) -> None:
    folder = many / "training_set"
    shutil.copyfile(folder / "003_HC.png", folder / "050_HC.png")
    report = check("hc18", many, out=tmp_path / "o", full=True)
    assert report.copies == (("003_HC", "050_HC"),)
    assert report.usable


def test_a_folder_of_damage_is_not_usable(many: Path, tmp_path: Path) -> None:
    for path in (many / "training_set").iterdir():
        path.write_bytes(b"no")
    report = check("hc18", many, out=tmp_path / "o")
    assert not report.usable
    assert report.faults == ("no image can be used",)
    assert all(split.sheet is None for split in report.splits)


def test_more_bad_than_good_is_not_usable(make_hc18: Make, tmp_path: Path) -> None:
    rows = [(f"{n:03d}_HC.png", 0.1, 100 + n) for n in range(30)]
    folder = make_hc18(rows, skip=[name for name, _, _ in rows[:20]])
    report = check("hc18", folder, out=tmp_path / "o")
    assert report.faults == ("about 33% of the images can be used, at least 50% are expected",)
    assert check("hc18", folder, out=tmp_path / "o", min_fraction=0.3).usable


def test_too_few_people_are_shown_in_one_sheet(make_hc18: Make, tmp_path: Path) -> None:
    folder = make_hc18([("001_HC.png", 0.1, 100), ("001_2HC.png", 0.1, 110)])
    report = check("hc18", folder, out=tmp_path / "o")
    assert [(s.name, s.images) for s in report.splits] == [("all", 2)]
    assert "too few to fill the splits" in report.faults[0]
    assert (tmp_path / "o" / "all.png").is_file()


def test_a_patient_in_two_official_splits_is_a_fault(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    (folder).mkdir()
    lines = ["file,target,group,split"]
    for number in range(12):
        Image.effect_noise((32, 32), 50 + number).save(folder / f"{number}.png")
        split = ("train", "val", "test")[number % 3]
        lines.append(f"{number}.png,{number},{number // 2},{split}")
    (folder / "t.csv").write_text("\n".join(lines))
    report = check("table", folder, out=tmp_path / "o")
    assert "in two official splits" in report.faults[0]


def test_only_a_split_that_the_files_give_is_called_official(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    lines = ["file,target,group,split"]
    for number in range(40):
        Image.effect_noise((32, 32), 50 + number).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{number + 1},{number},{'test' if number < 8 else 'train'}")
    (folder / "t.csv").write_text("\n".join(lines))
    report = check("table", folder, out=tmp_path / "o")
    assert {s.name: s.official for s in report.splits} == {
        "train": True, "val": False, "test": True,
    }  # fmt: skip


def test_nothing_is_written_into_the_source(many: Path, tmp_path: Path) -> None:
    before = fingerprint(many)
    with pytest.raises(SourceError, match="would be written into the source"):
        check("hc18", many, out=many / "sheets")
    (tmp_path / "link").symlink_to(many)
    with pytest.raises(SourceError, match="would be written into the source"):
        check("hc18", many, out=tmp_path / "link" / "sheets")
    assert fingerprint(many) == before
    report = check("hc18", many, cache=tmp_path / "c")
    assert report.splits[0].sheet == str(tmp_path / "c/checks/hc18/train.png")


def test_a_wrong_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder at"):
        check("hc18", tmp_path / "nowhere", out=tmp_path / "o")


def test_any_mapper_gives_the_same_report(many: Path, tmp_path: Path) -> None:
    def through_pickle(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        for item in items:
            job, chunk = pickle.loads(pickle.dumps((function, item)))  # noqa: S301
            yield pickle.loads(pickle.dumps(job(chunk)))  # noqa: S301

    steps: list[tuple[int, int]] = []
    one = check("hc18", many, out=tmp_path / "o", full=True)
    two = check(
        "hc18",
        many,
        out=tmp_path / "o",
        full=True,
        mapper=through_pickle,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert one == two
    assert steps[-1] == (60, 60)


def write_notes(folder: Path, samples: int, seed: int, part: tuple[int, int]) -> None:
    for number in range(part[0], samples, part[1]):
        (folder / f"{number}.txt").write_text(str(seed))


def write_and_fail(folder: Path, samples: int, seed: int, part: tuple[int, int]) -> None:
    write_notes(folder, samples, seed, part)
    raise OSError("disk full")


def with_phantom(write: Any) -> Dataset:
    hc18 = get("hc18")
    return Dataset(card=hc18.card, reader=hc18.reader, phantom=Phantom(write=write, samples=5))


def test_phantoms_are_written_for_the_user(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    dataset = with_phantom(write_notes)
    written = write_phantoms(
        dataset, tmp_path / "a", 20, 3, progress=lambda done, total: steps.append((done, total))
    )
    assert written == 20
    assert len(list((tmp_path / "a").iterdir())) == 20
    assert steps[-1] == (PARTS, PARTS)
    assert write_phantoms(dataset, tmp_path / "b") == 5


def test_phantoms_are_not_written_over_anything(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SourceError, match="is not empty"):
        write_phantoms(with_phantom(write_notes), tmp_path)
    with pytest.raises(SourceError, match="at least 1, found 0"):
        write_phantoms(with_phantom(write_notes), tmp_path / "new", 0)
    with pytest.raises(SourceError, match="has no phantoms"):
        write_phantoms(Dataset(card=get("hc18").card, reader=get("hc18").reader), tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_half_written_phantoms_are_taken_away(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("there", "new"):
        with pytest.raises(OSError, match="disk full"):
            write_phantoms(with_phantom(write_and_fail), tmp_path / name, 20)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_the_phantoms_of_brains_pass_their_own_check(tmp_path: Path) -> None:
    write_phantoms(get("ukb-t1"), tmp_path / "brains", 12)
    report = check("ukb-t1", tmp_path / "brains", out=tmp_path / "o", shape=(15, 18, 15), full=True)
    assert report.usable
    assert report.images == 12
    assert sum(report.sites.values()) == 12

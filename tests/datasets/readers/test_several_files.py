"""Images of several files, one for each channel, in the user's own table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from own_pictures import TABLE, draw, reasons

from supremix_datasets import CardError, DecodeError, LabelTableError, SourceError, prepare
from supremix_datasets.cards.sample import Sample
from supremix_datasets.decoding.channels import decode_channels
from supremix_datasets.readers.own_table.cohort import list_cohort
from supremix_datasets.sources.files import PART, parts_of

TOML = '[columns]\nfile = ["{ID}_t1.png", "{ID}_flair.png"]\n'
Make = Callable[..., Path]


@pytest.fixture
def pairs(make: Make) -> Path:
    folder = make(
        [(f"{n:02d}", 30 + n, f"p{n}") for n in range(6)], ("ID", "target", "group"), TOML
    )
    for n in range(6):
        draw(folder / f"{n:02d}_t1.png", n)
        draw(folder / f"{n:02d}_flair.png", 100 + n)
    return folder


def save(path: Path, values: np.ndarray, affine: np.ndarray) -> str:
    nib.Nifti1Image(values.astype(np.float32), affine).to_filename(path)
    return str(path)


def test_files_of_a_row_are_channels(pairs: Path, tmp_path: Path) -> None:
    store = prepare("table", pairs, cache=tmp_path / "c", shape=(40, 50))
    assert (store.card.sequences, store.images.shape) == (("t1", "flair"), (6, 2, 40, 50))
    assert store.index["id"].to_list() == [f"{n:02d}_t1" for n in range(6)]
    for channel, name in enumerate(("t1", "flair")):
        alone = TABLE.reader.decode(str(pairs / f"03_{name}.png")).pixels
        np.testing.assert_array_equal(store.images[3, channel], alone)


def test_columns_name_the_files_too(make: Make) -> None:
    rows = [(f"img/{n:03d}.png", f"img/{n + 5:03d}.png", n, n) for n in range(5)]
    toml = '[columns]\nfile = ["pre", "post"]\n'
    folder = make(rows, ("pre", "post", "target", "group"), toml)
    dataset = TABLE.at(str(folder))
    assert dataset.card.sequences == ("pre", "post")
    found = dataset.reader.scan(str(folder)).samples
    assert [Path(part).name for part in parts_of(found[1].address)] == ["001.png", "006.png"]


def test_one_missing_file_excludes_the_row_and_is_named(pairs: Path) -> None:
    (pairs / "02_flair.png").unlink()
    assert reasons(pairs) == {"02_t1": "the file is missing"}
    (warning,) = TABLE.reader.scan(str(pairs)).warnings
    assert "missing files of the table: 1. Looked for" in warning
    assert "02_flair.png" in warning


def test_any_file_that_changes_makes_another_store(pairs: Path, tmp_path: Path) -> None:
    before = prepare("table", pairs, cache=tmp_path / "c").key
    draw(pairs / "02_flair.png", 999)
    assert prepare("table", pairs, cache=tmp_path / "c").key != before


def test_each_sequence_has_its_own_scale_of_grey_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for n in range(4):
        values = rng.uniform(1, 2, (12, 12, 12))
        save(tmp_path / f"{n}_a.nii.gz", values, np.eye(4) * 4)
        save(tmp_path / f"{n}_b.nii.gz", values * 1000, np.eye(4) * 4)
    rows = "\n".join(f"{n},{n},{n}" for n in range(4))
    (tmp_path / "t.csv").write_text(f"ID,target,group\n{rows}\n")
    toml = 'shape = [8, 8, 8]\n[columns]\nfile = ["{ID}_a.nii.gz", "{ID}_b.nii.gz"]\n'
    (tmp_path / "dataset.toml").write_text(toml)
    images = prepare("table", tmp_path, cache=tmp_path / "c").images
    assert np.abs(images[:, 0].astype(int) - images[:, 1].astype(int)).max() <= 1


def test_a_volume_on_another_grid_is_resampled_by_the_affines(tmp_path: Path) -> None:
    """The same linear field on two grids, one finer, shifted and with an axis turned round."""

    def field(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
        return (index @ affine[:3, :3].T + affine[:3, 3]) @ np.array([1.0, 2.0, -0.5])

    coarse = np.diag([2.0, 2, 2, 1])
    coarse[:3, 3] = 10, 10, 10
    fine = np.diag([-1.0, 1.5, 1, 1])
    fine[:3, 3] = 60, 0, 0
    first = save(tmp_path / "a.nii", field(coarse, (16, 16, 16)), coarse)
    other = save(tmp_path / "b.nii", field(fine, (64, 40, 50)), fine)
    image = decode_channels([first, other])
    assert (image.pixels.shape, image.spacing) == ((2, 16, 16, 16), (2.0, 2.0, 2.0))
    np.testing.assert_allclose(image.pixels[0], image.pixels[1], atol=1e-3)


def test_the_same_grid_is_left_as_it_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    one, two = rng.random((2, 9, 10, 11)).astype(np.float32)
    paths = [save(tmp_path / f"{k}.nii", v, np.eye(4)) for k, v in enumerate((one, two))]
    np.testing.assert_array_equal(decode_channels(paths).pixels, np.stack([one, two]))


def test_grids_that_cannot_be_brought_together_are_refused(tmp_path: Path) -> None:
    near, far = np.eye(4), np.eye(4)
    far[0, 3] = 6
    values = np.random.default_rng(0).random((10, 10, 10))
    paths = [save(tmp_path / f"{k}.nii", values, a) for k, a in enumerate((near, far))]
    with pytest.raises(DecodeError, match=r"1\.nii and 0\.nii do not make one image: .* only 4\d%"):
        decode_channels(paths)
    arrays = [str(tmp_path / f"{k}.npy") for k in range(2)]
    for path, size in zip(arrays, (8, 9), strict=True):
        np.save(path, np.zeros((size, 8)))
    with pytest.raises(DecodeError, match=r"shapes \(9, 8\) and \(8, 8\) differ.*one grid first"):
        decode_channels(arrays)
    with pytest.raises(DecodeError, match=r"gone\.npy: the file is missing"):
        decode_channels([arrays[0], str(tmp_path / "gone.npy")])


def test_a_cohort_has_as_many_files_a_row(pairs: Path) -> None:
    card = TABLE.at(str(pairs)).card
    found = list_cohort([str(pairs)], card)
    assert [one.file for one in found][:1] == ["00_t1.png, 00_flair.png"]
    assert all(isinstance(one.found, Sample) for one in found)
    address = found[0].found.address
    assert TABLE.reading(card).decode(address).pixels.shape == (2, 40, 50)
    assert PART not in parts_of(address)[0]
    (pairs / "dataset.toml").write_text('[columns]\nfile = "{ID}_t1.png"\n')
    with pytest.raises(SourceError, match=r"takes 2 file\(s\) an image: t1, flair; .* names 1"):
        list_cohort([str(pairs)], card)
    (pairs / "dataset.toml").unlink()
    with pytest.raises(SourceError, match="in Python a tuple of files is one image"):
        list_cohort([str(pairs)], card)


@pytest.mark.parametrize(
    ("toml", "error", "message"),
    [
        ("[columns]\nfile = ['a', 1]", CardError, "columns.file must be a name or a pattern"),
        ("[columns]\nfile = ['{ID}', '{ID']", CardError, "a brace too many"),
        ("[columns]\nfile = ['{ID}_a', '{no}']", LabelTableError, "no column 'no'"),
        ("channels = 3\n" + TOML, CardError, r"number of files of an image, 2 \(t1, flair\)"),
    ],
)
def test_a_wrong_list_of_files_is_refused(
    pairs: Path, toml: str, error: type[Exception], message: str
) -> None:
    (pairs / "dataset.toml").write_text(toml)
    with pytest.raises(error, match=message):
        TABLE.at(str(pairs))

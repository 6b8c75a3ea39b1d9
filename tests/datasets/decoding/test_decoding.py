from __future__ import annotations

import gzip
import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from supremix_datasets import DecodeError, decode_file
from supremix_datasets.decoding.images import decode_nifti, decode_picture, ending_of
from supremix_datasets.decoding.video import encode_mjpg_avi

RNG = np.random.default_rng(0)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def test_a_grey_picture_comes_back_as_it_was() -> None:
    grey = RNG.integers(0, 255, (20, 30), dtype=np.uint8)
    np.testing.assert_array_equal(decode_picture(png(grey)).pixels, grey)
    colour = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(decode_picture(png(colour)).pixels, grey)


def test_sixteen_bits_are_kept() -> None:
    deep = RNG.integers(0, 65535, (20, 30), dtype=np.uint16)
    np.testing.assert_array_equal(decode_picture(png(deep)).pixels, deep.astype(np.float32))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.95])
def test_a_truncated_picture_is_refused(share: float) -> None:
    data = png(RNG.integers(0, 255, (200, 300), dtype=np.uint8))
    with pytest.raises(DecodeError, match="not a readable picture") as caught:
        decode_picture(data[: int(len(data) * share)])
    assert " at 0x" not in str(caught.value), "the same damage has the same words in any process"


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("packed", [False, True])
def test_axes_are_turned_to_right_anterior_superior(kind: type, packed: bool) -> None:
    ras = RNG.integers(0, 900, (9, 10, 11)).astype(np.int16)
    # stored as (P, S, R), like IXI
    stored = ras[:, ::-1].transpose(1, 2, 0)
    affine = np.array([[0, 0, 2.0, 0], [-3.0, 0, 0, 0], [0, 4.0, 0, 0], [0, 0, 0, 1]])
    data = kind(stored, affine).to_bytes()
    image = decode_nifti(gzip.compress(data) if packed else data)
    np.testing.assert_array_equal(image.pixels, ras)
    assert image.spacing == (2.0, 3.0, 4.0)


def test_an_axis_of_one_time_point_is_dropped() -> None:
    data = nib.Nifti1Image(np.ones((9, 10, 11, 1), np.float32), np.eye(4)).to_bytes()
    assert decode_nifti(data).pixels.shape == (9, 10, 11)
    data = nib.Nifti1Image(np.ones((9, 10, 11, 2), np.float32), np.eye(4)).to_bytes()
    with pytest.raises(DecodeError, match="3 axes"):
        decode_nifti(data)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.9])
@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_volume_is_refused(share: float, packed: bool) -> None:
    volume = RNG.integers(0, 900, (20, 20, 20)).astype(np.int16)
    data = nib.Nifti1Image(volume, np.eye(4)).to_bytes()
    data = gzip.compress(data) if packed else data
    with pytest.raises(DecodeError, match="not a readable NIfTI"):
        decode_nifti(data[: int(len(data) * share)])


def test_a_flipped_byte_is_noticed() -> None:
    volume = RNG.integers(0, 900, (20, 20, 20)).astype(np.int16)
    data = bytearray(gzip.compress(nib.Nifti1Image(volume, np.eye(4)).to_bytes()))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(DecodeError, match="not a readable NIfTI"):
        decode_nifti(bytes(data))


def test_files_are_told_apart_by_their_ending(tmp_path: Path) -> None:
    grey = RNG.integers(0, 255, (20, 30), dtype=np.uint8)
    (tmp_path / "a.PNG").write_bytes(png(grey))
    np.testing.assert_array_equal(decode_file(str(tmp_path / "a.PNG")).pixels, grey)
    with pytest.raises(DecodeError, match="expected a file ending in"):
        decode_file(str(tmp_path / "a.txt"))
    with pytest.raises(DecodeError, match="the file is missing"):
        decode_file(str(tmp_path / "b.png"))
    (tmp_path / "empty.png").touch()
    with pytest.raises(DecodeError, match="the file is empty"):
        decode_file(str(tmp_path / "empty.png"))


def test_arrays_videos_and_dicom_reach_their_decoders(tmp_path: Path) -> None:
    grey = RNG.integers(0, 255, (3, 16, 24), dtype=np.uint8)
    np.save(tmp_path / "a.npy", grey[0])
    np.testing.assert_array_equal(decode_file(str(tmp_path / "a.npy")).pixels, grey[0])
    (tmp_path / "a.AVI").write_bytes(encode_mjpg_avi(grey, 50.0))
    assert decode_file(str(tmp_path / "a.AVI")).pixels.shape == grey.shape
    slices = tmp_path / "series"
    slices.mkdir()
    with pytest.raises(DecodeError, match="holds no file"):
        decode_file(f"{slices}/")
    for place in (slices / "1.dcm", tmp_path / "a.dcm"):
        place.write_bytes(b"no DICOM")
    for address in (f"{slices}/", str(tmp_path / "a.dcm")):
        with pytest.raises(DecodeError, match="DICOM"):
            decode_file(address)


def test_colour_comes_with_its_channels_first() -> None:
    colour = RNG.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    shown = decode_picture(png(colour), channels=3).pixels
    np.testing.assert_array_equal(shown, np.moveaxis(colour, -1, 0))
    deep = RNG.integers(0, 65535, (20, 30), dtype=np.uint16)
    assert decode_picture(png(deep), channels=3).pixels.shape == (3, 20, 30)


@pytest.mark.parametrize(
    ("address", "ending"),
    [
        ("a/b.nii.gz", ".nii.gz"),
        ("zip://T1/x.NII::file:///a.zip", ".nii"),
        ("a.b/c", ""),
        ("x.txt", ""),
    ],
)
def test_an_ending_names_the_format(address: str, ending: str) -> None:
    assert ending_of(address) == ending


def test_a_picture_beyond_all_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("L", (40, 40)).save(buffer, "png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DecodeError, match="decompression bomb"):
        decode_picture(buffer.getvalue())

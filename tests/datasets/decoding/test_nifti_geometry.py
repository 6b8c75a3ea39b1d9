"""The geometry of a NIfTI file is that of its affine in mm, or the file is refused."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supremix_datasets import Decoded, DecodeError
from supremix_datasets.decoding.nifti import UNITS, decode_nifti
from supremix_datasets.readers.pet_files import decode_pet

VALUES = np.random.default_rng(0).integers(1, 900, (8, 9, 10)).astype(np.int16)
PIXDIM, QFORM_CODE = 80, 252


@st.composite
def headers(draw: st.DrawFn) -> nib.Nifti1Image:
    """Images whose header states orientation, unit and size in every way that is legal."""
    sizes = draw(st.tuples(*[st.sampled_from([0.5, 1.0, 2.0, 3.25])] * 3))
    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) * signs)[:, order] * sizes
    affine[:3, 3] = draw(st.tuples(*[st.floats(-90, 90)] * 3))
    image = nib.Nifti1Image(VALUES, affine)
    forms = draw(st.sampled_from(["sform", "qform", "both", "neither", "contradicting"]))
    other = affine if forms != "contradicting" else affine @ np.diag([-1.0, 1, 1, 1])
    image.set_sform(affine, int(forms in ("sform", "both", "contradicting")))
    image.set_qform(other, int(forms in ("qform", "both", "contradicting")))
    image.header["xyzt_units"] = draw(st.sampled_from([0, 2, 10, 3, 1]))
    return image


def read_or_refused(data: bytes) -> Decoded | str:
    """The volume, or the sentence that refuses it."""
    try:
        return decode_nifti(data)
    except DecodeError as error:
        return str(error)


@settings(deadline=None, max_examples=80, derandomize=True)
@given(image=headers(), stated=st.sampled_from([None, 1.0, 7.0]))
def test_a_volume_is_read_as_nibabel_places_it_or_refused(
    image: nib.Nifti1Image, stated: float | None
) -> None:
    raw = bytearray(image.to_bytes())
    if stated is not None and int(image.header["qform_code"]) == 0:
        struct.pack_into("<3f", raw, PIXDIM, stated, stated, stated)
    expected = nib.as_closest_canonical(nib.Nifti1Image.from_bytes(bytes(raw)))
    unit = UNITS[int(image.header["xyzt_units"]) & 7]
    found = read_or_refused(bytes(raw))
    if isinstance(found, str):  # two forms that contradict each other, or voxels of half a metre
        forms = int(image.header["sform_code"]) and int(image.header["qform_code"])
        assert (forms and "contradicts itself" in found) or unit == 1000
        return
    np.testing.assert_array_equal(found.pixels, np.asarray(expected.dataobj))
    sizes = nib.affines.voxel_sizes(expected.affine) * unit
    np.testing.assert_allclose(found.spacing or (), sizes, rtol=1e-5)


def test_the_order_in_which_voxels_are_stored_changes_nothing() -> None:
    found = []
    mirrored = np.diag([-2.0, 2, 3, 1])
    for values, affine in ((VALUES, np.diag([2.0, 2, 3, 1])), (VALUES[::-1], mirrored)):
        raw = bytearray(nib.Nifti1Image(np.ascontiguousarray(values), affine).to_bytes())
        struct.pack_into("<3f", raw, PIXDIM, 1, 1, 1)
        struct.pack_into("<h", raw, QFORM_CODE, 0)
        found.append(decode_nifti(bytes(raw)))
    assert found[0].spacing == found[1].spacing == (2.0, 2.0, 3.0)
    np.testing.assert_array_equal(found[0].pixels, found[1].pixels)


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1000.0), ("meter", 0.001), ("mm", 1.0)])
def test_units_become_mm_for_mri_and_pet(unit: str, factor: float, tmp_path: Path) -> None:
    affine = np.diag([2 * factor, 2 * factor, 3 * factor, 1])
    for values in (VALUES, np.stack([VALUES, VALUES], axis=-1)):
        image = nib.Nifti1Image(values, affine)
        image.header.set_xyzt_units(unit, "sec")
        nib.save(image, tmp_path / "a.nii")
        assert decode_pet(str(tmp_path / "a.nii")).spacing == pytest.approx((2, 2, 3), rel=1e-5)


def sheared() -> np.ndarray:
    affine = np.diag([2.0, 2, 2, 1])
    affine[0, 1] = 0.5
    return affine


@pytest.mark.parametrize(
    ("affine", "reason"),
    [
        (np.diag([np.nan, 2.0, 2, 1]), "not finite"),
        (np.diag([0.0, 2, 2, 1]), "impossible voxel size"),
        (np.diag([2000.0, 2000, 2000, 1]), "impossible voxel size"),
        (sheared(), "sheared"),
    ],
)
def test_an_affine_that_is_no_geometry_is_refused(affine: np.ndarray, reason: str) -> None:
    raw = bytearray(nib.Nifti1Image(VALUES, np.eye(4)).to_bytes())
    struct.pack_into("<12f", raw, 280, *affine[:3].ravel())
    with pytest.raises(DecodeError, match=reason):
        decode_nifti(bytes(raw))


def test_sform_and_qform_that_contradict_each_other_are_refused() -> None:
    image = nib.Nifti1Image(VALUES, np.eye(4))
    image.set_qform(np.diag([1.0, 1, 2, 1]), 1)
    with pytest.raises(DecodeError, match="sform and qform give voxels of 1 x 1 x 1 and 1 x 1 x 2"):
        decode_nifti(image.to_bytes())


@pytest.mark.parametrize("dtype", [[("R", "u1"), ("G", "u1"), ("B", "u1")], "c8"])
def test_only_real_numbers_are_voxels(dtype: object) -> None:
    with pytest.raises(DecodeError, match="expected one real number a voxel"):
        decode_nifti(nib.Nifti1Image(np.zeros((8, 8, 8), dtype), np.eye(4)).to_bytes())


def test_a_fourth_axis_of_frequencies_is_no_time(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.stack([VALUES, VALUES], axis=-1), np.eye(4))
    image.header.set_xyzt_units("mm", "ppm")
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(DecodeError, match="no time"):
        decode_pet(str(tmp_path / "a.nii"))


def test_every_legal_container_is_read() -> None:
    head = nib.Nifti2Header(endianness=">")
    head.set_data_dtype(np.dtype(">i2"))
    plain = nib.Nifti1Image(VALUES, np.eye(4)).to_bytes()
    for data in (
        nib.Nifti2Image(VALUES.astype(">i2"), np.eye(4), head).to_bytes(),
        gzip.compress(plain[:100]) + gzip.compress(plain[100:]),
        gzip.compress(b"") + gzip.compress(plain),
    ):
        np.testing.assert_array_equal(decode_nifti(data).pixels, VALUES)
    with pytest.raises(DecodeError, match="header and values are in one file"):
        decode_nifti(plain.replace(b"n+1\0", b"ni1\0", 1))

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from supremix_datasets.decoding.dicom import decode_dicom, decode_dicom_series
from supremix_datasets.errors import DecodeError
from supremix_datasets.sources.guards import MAX_BYTES

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
VOLUME = np.random.default_rng(0).integers(0, 4000, (7, 6, 5)).astype(np.float32)
"""Axes right, anterior, superior."""


def shipped(name: str) -> bytes:
    return (FILES / name).read_bytes()


def written(**facts: Any) -> bytes:
    """A DICOM file with a small grey picture, changed by ``facts``; None leaves a tag out."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = facts.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    pixels = facts.pop("pixels", np.arange(12, dtype=np.uint16).reshape(3, 4))
    bits = 8 * pixels.dtype.itemsize
    standard = {
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "SeriesInstanceUID": "2.25.2",
        "PixelData": pixels.tobytes(),
    }
    for name, value in {**standard, **facts}.items():
        if value is not None:
            setattr(image, name, value)
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def axial(z: int, **facts: Any) -> dict[str, Any]:
    """Facts of one axial slice of VOLUME at 2 x 3 x 4 mm: rows to the back, columns to the left."""
    plane = VOLUME[::-1, ::-1, z].T
    return {
        "pixels": np.rint(plane / (1 + z)).astype(np.uint16),
        "RescaleSlope": 1 + z,
        "RescaleIntercept": 0,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [-7.0, -9.0, 4.0 * z],
        "PixelSpacing": [3.0, 2.0],
        "SliceThickness": 9.0,
        "SOPInstanceUID": f"2.25.{100 + z}",
        "AcquisitionTime": "100000",
        **facts,
    }


def series(change: Callable[[int], dict[str, Any]] = lambda z: {}) -> list[bytes]:
    return [written(**{**axial(z), **change(z)}) for z in (3, 0, 4, 1, 2)]


def expected() -> NDArray[np.float32]:
    steps = 1 + np.arange(5)
    return np.rint(VOLUME / steps).astype(np.float32) * steps


def test_a_shipped_ct_is_in_hounsfield_units() -> None:
    image = decode_dicom(shipped("CT_small.dcm"))
    stored = pydicom.dcmread(FILES / "CT_small.dcm").pixel_array
    np.testing.assert_array_equal(image.pixels, stored.astype(np.float32) - 1024)
    assert image.spacing == (0.661468, 0.661468)


@pytest.mark.parametrize(
    "name", ["RLE", "jp2klossless", "jpeg_ls_lossless", "bigendian", "implicit", "expb", "padded"]
)
def test_a_lossless_transfer_syntax_changes_nothing(name: str) -> None:
    plain, packed = (decode_dicom(shipped(f"MR_small{n}.dcm")) for n in ("", f"_{name}"))
    np.testing.assert_array_equal(packed.pixels, plain.pixels)
    assert packed.spacing == plain.spacing == (0.3125, 0.3125)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("examples_palette.dcm", (350, 800)),
        ("examples_rgb_color.dcm", (240, 320)),
        ("examples_jpeg2k.dcm", (480, 640)),
        ("examples_ybr_color.dcm", (30, 240, 320)),
        ("image_dfl.dcm", (512, 512)),
    ],
)
def test_colour_becomes_grey_of_8_bits(name: str, shape: tuple[int, ...]) -> None:
    image = decode_dicom(shipped(name))
    assert image.pixels.shape == shape
    assert image.pixels.dtype == np.uint8
    assert image.pixels.std() > 10


def test_colours_of_any_depth_give_the_same_grey() -> None:
    grey = [decode_dicom(shipped(f"SC_rgb_rle{n}.dcm")).pixels for n in ("", "_16bit", "_32bit")]
    for other in grey[1:]:
        np.testing.assert_array_equal(other, grey[0])
    rgb = pydicom.dcmread(FILES / "SC_rgb_rle.dcm").pixel_array.astype(float)
    np.testing.assert_allclose(grey[0], rgb @ [0.299, 0.587, 0.114], atol=0.51)


def test_monochrome1_is_inverted() -> None:
    pixels = np.array([[0, 10, 255], [1, 2, 3]], dtype=np.uint8)
    image = decode_dicom(written(pixels=pixels, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(image.pixels, 255 - pixels)
    assert image.pixels.dtype == np.uint8


@pytest.mark.parametrize(("kind", "ends"), [(np.uint16, 4095), (np.int16, -1)])
def test_monochrome1_is_inverted_within_the_bits_stored(kind: type, ends: int) -> None:
    pixels = np.arange(12, dtype=kind).reshape(3, 4)
    image = decode_dicom(
        written(pixels=pixels, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    )
    np.testing.assert_array_equal(image.pixels, ends - pixels.astype(int))


def test_the_spacing_is_that_of_the_patient_else_of_the_detector() -> None:
    both = written(PixelSpacing=[0.5, 0.25], ImagerPixelSpacing=[1, 1])
    assert decode_dicom(both).spacing == (0.5, 0.25)
    assert decode_dicom(written(ImagerPixelSpacing=[0.2, 0.1])).spacing == (0.2, 0.1)
    assert decode_dicom(written()).spacing is None


def test_slope_and_intercept_are_applied() -> None:
    image = decode_dicom(written(RescaleSlope=0.5, RescaleIntercept=-3))
    np.testing.assert_array_equal(image.pixels, np.arange(12).reshape(3, 4) * 0.5 - 3)
    with pytest.raises(DecodeError, match="impossible rescale: slope 0"):
        decode_dicom(written(RescaleSlope=0, RescaleIntercept=0))


def test_slices_are_sorted_by_place_and_scaled_one_by_one() -> None:
    image = decode_dicom_series(series())
    np.testing.assert_allclose(image.pixels, expected(), rtol=1e-6)
    assert image.spacing == (2.0, 3.0, 4.0)  # of the positions, not the slice thickness
    shuffled = decode_dicom_series(series()[::-1])
    np.testing.assert_array_equal(shuffled.pixels, image.pixels)


def test_monochrome1_does_not_turn_quantities_round() -> None:
    image = decode_dicom_series(series(lambda z: {"PhotometricInterpretation": "MONOCHROME1"}))
    np.testing.assert_allclose(image.pixels, expected(), rtol=1e-6)


def test_mirrored_rows_and_columns_are_turned_back() -> None:
    def mirrored(z: int) -> dict[str, Any]:
        return {
            "pixels": axial(z)["pixels"][::-1, ::-1].copy(),
            "ImageOrientationPatient": [-1, 0, 0, 0, -1, 0],
            "ImagePositionPatient": [5.0, 6.0, 4.0 * z],
        }

    np.testing.assert_allclose(decode_dicom_series(series(mirrored)).pixels, expected(), rtol=1e-6)


def test_coronal_slices_come_out_in_the_same_axes() -> None:
    # columns to the left, rows downwards, slices from front to back
    files = [
        written(
            pixels=VOLUME[::-1, y, ::-1].T.astype(np.uint16),
            ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
            ImagePositionPatient=[-7.0, -3.0 * y, 20.0],
            PixelSpacing=[4.0, 2.0],
        )
        for y in range(6)
    ]
    image = decode_dicom_series(files)
    np.testing.assert_array_equal(image.pixels, VOLUME)
    assert image.spacing == (2.0, 3.0, 4.0)


def test_oblique_slices_go_to_the_nearest_axes() -> None:
    tilt = np.deg2rad(20)
    down = [0, float(np.cos(tilt)), float(np.sin(tilt))]
    normal = np.array([0, -np.sin(tilt), np.cos(tilt)])

    def tilted(z: int) -> dict[str, Any]:
        place = [float(v) for v in 4 * z * normal]
        return {"ImageOrientationPatient": [1, 0, 0, *down], "ImagePositionPatient": place}

    image = decode_dicom_series(series(tilted))
    np.testing.assert_allclose(image.pixels, expected(), rtol=1e-6)
    np.testing.assert_allclose(image.spacing, (2, 3, 4), rtol=1e-5)


def test_a_shipped_series_is_put_in_order() -> None:
    folder = FILES / "dicomdirtests" / "98892001" / "CT5N"
    files = sorted(folder.iterdir())
    image = decode_dicom_series([file.read_bytes() for file in files])
    heads = sorted(map(pydicom.dcmread, files), key=lambda d: float(d.ImagePositionPatient[2]))
    planes = [d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in heads]
    np.testing.assert_allclose(image.pixels, np.stack(planes, -1).transpose(1, 0, 2)[::-1, ::-1])
    np.testing.assert_allclose(image.spacing, (0.488281, 0.488281, 2.5))


def dynamic(durations: tuple[int | None, ...]) -> list[bytes]:
    return [
        written(
            **axial(
                z,
                pixels=(axial(z)["pixels"] // 4 + 100 * t).astype(np.uint16),
                Modality="PT",
                FrameReferenceTime=60000.0 * t,
                ActualFrameDuration=duration,
                NumberOfTimeSlices=len(durations),
                NumberOfSlices=5,
                SOPInstanceUID=f"2.25.1{z}{t}",
            )
        )
        for z in range(5)
        for t, duration in enumerate(durations)
    ]


@pytest.mark.parametrize(
    ("durations", "weights"), [((60, 60, 60), (1, 1, 1)), ((10, 20, 70), (1, 2, 7))]
)
def test_time_frames_are_averaged(durations: tuple[int, ...], weights: tuple[int, ...]) -> None:
    image = decode_dicom_series(dynamic(durations)[::-1])
    slopes, later = 1 + np.arange(5), np.average([0, 100, 200], weights=weights)
    still = np.rint(VOLUME / slopes) // 4
    np.testing.assert_allclose(image.pixels, (still + later) * slopes, rtol=1e-5)


def test_without_all_durations_time_frames_count_alike() -> None:
    np.testing.assert_array_equal(
        decode_dicom_series(dynamic((10, None, 70))).pixels,
        decode_dicom_series(dynamic((5, 5, 5))).pixels,
    )


def test_incomplete_time_frames_are_refused() -> None:
    with pytest.raises(DecodeError, match="2 to 3 images of each"):
        decode_dicom_series(dynamic((1, 1, 1))[1:])
    whole = dynamic((1, 1, 1))
    with pytest.raises(DecodeError, match="time frames are missing: the files say 3, found 2"):
        decode_dicom_series([file for k, file in enumerate(whole) if k % 3])


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (list, "the series has no files"),
        (lambda: series()[:1], "expected a stack of slices, found one"),
        (lambda: [*series(), series()[2]], "1 of 5 slices are there more than once"),
        (lambda: [f for k, f in enumerate(series()) if k != 3], "1 slices are missing between"),
        (
            lambda: series(lambda z: {"NumberOfSlices": 6}),
            "slices are missing: the files say 6, found 5",
        ),
        (
            lambda: series(lambda z: {"SeriesInstanceUID": f"2.25.{z // 4}"}),
            "more than one series",
        ),
        (
            lambda: series(lambda z: {"pixels": np.zeros((6 + z // 4, 7), np.uint16)}),
            r"different sizes: \[\(6, 7\), \(7, 7\)\]",
        ),
        (
            lambda: series(lambda z: {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]} if z else {}),
            "differ in orientation",
        ),
        (
            lambda: series(lambda z: {"PixelSpacing": [2 + z // 4, 2]}),
            "differ in pixel spacing",
        ),
        (
            lambda: series(lambda z: {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}),
            "orientation is impossible",
        ),
        (
            lambda: series(lambda z: {"ImagePositionPatient": [0, 0, 4.0 * z + (z == 2)]}),
            "lie 3 to 5 mm apart",
        ),
        (
            lambda: series(lambda z: {"ImagePositionPatient": [0, 0.5 * z, 4.0 * z]}),
            "shifted against each other",
        ),
        (lambda: series(lambda z: {"ImagePositionPatient": None}), "does not say where it is"),
        (lambda: series(lambda z: {"PixelSpacing": None}), "how large a pixel is"),
        (lambda: [*series(), b"x" * 500], "file 6 of 6: not a"),
    ],
)
def test_what_makes_no_volume_is_refused(files: Callable[[], list[bytes]], reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode_dicom_series(files())


def test_another_modality_is_refused_where_one_is_asked_for() -> None:
    files = series(lambda z: {"Modality": "MR"})
    assert decode_dicom_series(files).pixels.shape == VOLUME.shape
    with pytest.raises(DecodeError, match="expected the modality PT, found MR"):
        decode_dicom_series(files, modality="PT")


def enhanced(frames: int = 5, *, places: bool = True) -> bytes:
    """All slices of VOLUME in one file, from the top down, each with a slope of its own."""
    shared, per_frame = Dataset(), []
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [3.0, 2.0]
    planes = []
    for z in reversed(range(frames)):
        facts, group = axial(z), Dataset()
        planes.append(facts["pixels"])
        group.PlanePositionSequence = [Dataset()]
        group.PlanePositionSequence[0].ImagePositionPatient = facts["ImagePositionPatient"]
        group.PixelValueTransformationSequence = [Dataset()]
        group.PixelValueTransformationSequence[0].RescaleSlope = facts["RescaleSlope"]
        group.PixelValueTransformationSequence[0].RescaleIntercept = 0
        per_frame.append(group)
    groups = {
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": per_frame,
    }
    return written(pixels=np.stack(planes), NumberOfFrames=frames, **(groups if places else {}))


def test_a_file_of_many_slices_is_the_volume_of_the_series() -> None:
    image = decode_dicom(enhanced())
    np.testing.assert_allclose(image.pixels, expected(), rtol=1e-6)
    assert image.spacing == (2.0, 3.0, 4.0)
    np.testing.assert_array_equal(decode_dicom_series([enhanced()]).pixels, image.pixels)


def test_frames_without_a_place_are_a_film() -> None:
    image = decode_dicom(enhanced(places=False))
    assert image.pixels.shape == (5, 6, 7)
    assert image.spacing is None


@pytest.mark.parametrize(
    "data",
    [b"", b"text" * 99, shipped("rtplan.dcm"), shipped("MR_truncated.dcm"), shipped("badVR.dcm")],
)
def test_what_is_no_whole_image_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match=r"not a (readable )?DICOM image"):
        decode_dicom(data)


@pytest.mark.parametrize(
    "name", ["MR_small", "MR_small_jp2klossless", "MR_small_RLE", "SC_rgb_jpeg", "image_dfl"]
)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_file_is_refused(name: str, share: float) -> None:
    data = shipped(f"{name}.dcm")
    with pytest.raises(DecodeError, match=r"not a (readable )?DICOM image"):
        decode_dicom(data[: int(share * len(data))])


def test_a_file_that_claims_too_much_is_refused_before_it_takes_memory() -> None:
    with pytest.raises(DecodeError, match=f"at most {MAX_BYTES} are read"):
        decode_dicom(written(Rows=65535, Columns=65535))
    with pytest.raises(DecodeError, match="without pixels"):
        decode_dicom(written(Rows=0))


def test_a_deflated_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supremix_datasets.sources.guards.MAX_BYTES", 1 << 20)
    meta = written(syntax=DeflatedExplicitVRLittleEndian)
    (length,) = struct.unpack_from("<I", meta, 140)
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(b"\0" * (40 << 20)) + packer.flush()
    with pytest.raises(DecodeError, match="at most 1048576 are read"):
        decode_dicom(meta[: 144 + length] + bomb)


def test_no_message_names_who_the_patient_is() -> None:
    files = [written(**axial(z), PatientName="Doe^Jane", PatientID="secret") for z in (0, 1, 1)]
    with pytest.raises(DecodeError) as caught:
        decode_dicom_series(files)
    assert "Doe" not in str(caught.value)
    assert "secret" not in str(caught.value)

"""What a DICOM header says of padding, bits and kinds is applied or refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from supremix_datasets import DecodeError, decode_file
from supremix_datasets.decoding.dicom import decode_dicom, decode_dicom_series

VOLUME = np.random.default_rng(0).integers(0, 900, (10, 20, 24)).astype(np.uint16)


def plane(pixels: np.ndarray, index: int = 0, **more: Any) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = MRImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.Modality, data.SeriesInstanceUID = "MR", "1.2.3"
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelSpacing, data.ImageOrientationPatient = [2, 1.5], [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [0, 0, 3.0 * index]
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OW"
    for name, value in more.items():
        setattr(data, name, value)
    return data


def written(data: Dataset) -> bytes:
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M"]}, {"ImageType": ["ORIGINAL", "PRIMARY", "P"]}),
        ({"EchoTime": 5}, {"EchoTime": 80}),
        ({"SequenceName": "ep_b0"}, {"SequenceName": "ep_b1000"}),
        ({"Modality": "PT", "Units": "BQML"}, {"Modality": "PT", "Units": "GML"}),
        ({}, {}),
    ],
)
def test_only_pet_over_time_is_averaged(one: dict[str, Any], other: dict[str, Any]) -> None:
    files = [
        written(plane(VOLUME[k], k, AcquisitionTime=time, **kind))
        for k in range(10)
        for time, kind in (("100000", one), ("100001", other))
    ]
    with pytest.raises(DecodeError, match=r"2 kinds of picture|no PET over time"):
        decode_dicom_series(files)


@pytest.mark.parametrize("value", [-32000, -1])
def test_padding_is_no_grey_value(value: int) -> None:
    pixels = np.random.default_rng(1).integers(50, 2000, (20, 24)).astype(np.int16)
    padded = pixels.copy()
    padded[:4] = value
    data = plane(padded)
    data.add_new((0x0028, 0x0120), "SS", value)
    found = decode_dicom(written(data)).pixels
    np.testing.assert_array_equal(found[4:], pixels[4:])
    assert (found[:4] == pixels[4:].min()).all()


@pytest.mark.parametrize("bits", [{"HighBit": 14}, {"BitsStored": 17, "HighBit": 16}])
def test_bits_that_contradict_each_other_are_refused(bits: dict[str, int]) -> None:
    with pytest.raises(DecodeError, match=r"contradicts itself|not a readable DICOM"):
        decode_dicom(written(plane(VOLUME[0], **bits)))


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_a_meta_group_is_read(implicit: bool) -> None:
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, implicit
    write_dataset(file, plane(VOLUME[0]))
    np.testing.assert_array_equal(decode_dicom(file.getvalue()).pixels, VOLUME[0])


def test_files_that_are_no_image_are_passed_over_and_damaged_slices_are_not(tmp_path: Path) -> None:
    report = plane(VOLUME[0], Modality="SR")
    del report.PixelData
    for index in range(10):
        (tmp_path / f"{index}").write_bytes(written(plane(VOLUME[index], index)))
    for name, data in (
        ("LICENSE", b"CC BY 4.0 " * 30),
        (".DS_Store", b"\0\0\0\1Bud1" + bytes(6000)),
        ("._0", b"\0\5\x16\7" + bytes(4000)),
        ("report", written(report)),
    ):
        (tmp_path / name).write_bytes(data)
    assert decode_file(f"{tmp_path}/").pixels.shape == (24, 20, 10)
    for length in (600, 450, 330):  # within the pixels, and within the header
        (tmp_path / "9").write_bytes(written(plane(VOLUME[9], 9))[:length])
        with pytest.raises(DecodeError, match=r"not a|no image|Pixel Data|PixelData"):
            decode_file(f"{tmp_path}/")

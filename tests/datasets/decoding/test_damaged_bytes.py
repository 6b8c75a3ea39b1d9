"""Whatever happens to the bytes of a file, it is an image or it is excluded, and nothing else."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from supremix_datasets import DecodeError
from supremix_datasets.cards.dataset import Decoded
from supremix_datasets.decoding.arrays import decode_npy
from supremix_datasets.decoding.dicom import decode_dicom
from supremix_datasets.decoding.images import decode_nifti, decode_picture
from supremix_datasets.decoding.video import decode_video, encode_mjpg_avi

PIXELS = np.random.default_rng(0).integers(0, 255, (12, 16, 14), dtype=np.uint8)
HEADER = 400
"""Where the bytes that say most are."""


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS[0]).save(file, kind)
    return file.getvalue()


def volume() -> bytes:
    image = nib.Nifti1Image(PIXELS.astype(np.int16), np.eye(4))
    image.set_qform(np.eye(4))
    return image.to_bytes()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, PIXELS)
    return file.getvalue()


def dicom() -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["one"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    data.Rows, data.Columns = PIXELS[0].shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PhotometricInterpretation, data.PixelSpacing = "MONOCHROME2", [0.2, 0.2]
    data.RescaleSlope, data.RescaleIntercept, data.WindowCenter = 2, -10, 100
    data.PixelData = PIXELS[0].tobytes()
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def as_array(data: bytes) -> Decoded:
    return decode_npy(data, None)


FORMATS: dict[str, tuple[bytes, Callable[[bytes], Decoded]]] = {
    "png": (picture("png"), decode_picture),
    "jpeg": (picture("jpeg"), decode_picture),
    "tiff": (picture("tiff"), decode_picture),
    "bmp": (picture("bmp"), decode_picture),
    "nifti": (volume(), decode_nifti),
    "packed nifti": (gzip.compress(volume(), 1, mtime=0), decode_nifti),
    "npy": (array(), as_array),
    "dicom": (dicom(), decode_dicom),
    "avi": (encode_mjpg_avi(np.repeat(PIXELS[:3], 2, axis=1), 30), decode_video),
}


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Some bytes changed, most of them near the start, and perhaps the rest cut off."""
    place = st.one_of(st.integers(0, HEADER), st.integers(0, 1 << 16))
    changes = draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=4))
    share = draw(st.one_of(st.just(1.0), st.floats(0, 1)))

    def apply(data: bytes) -> bytes:
        spoiled = bytearray(data)
        for at, value in changes:
            spoiled[at % len(data)] = value
        return bytes(spoiled[: round(share * len(data))])

    return apply


@pytest.mark.filterwarnings("ignore")  # what the libraries say of such files is their affair
@pytest.mark.parametrize("name", sorted(FORMATS))
@settings(deadline=None, derandomize=True, max_examples=60)
@given(change=damage())
def test_a_damaged_file_is_an_image_or_is_excluded(
    name: str, change: Callable[[bytes], bytes]
) -> None:
    data, decode = FORMATS[name]
    try:
        image = decode(change(data))
    except DecodeError as error:
        message = str(error)
        assert message
    else:
        assert image.pixels.size


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_undamaged_file_is_an_image(name: str) -> None:
    data, decode = FORMATS[name]
    assert decode(data).pixels.shape[-2:] in {(16, 14), (32, 14)}


def test_a_volume_of_no_known_type_is_excluded() -> None:
    header = nib.Nifti1Header.from_fileobj(io.BytesIO(volume()))
    header["datatype"] = 170
    with pytest.raises(DecodeError, match="there is no type of values 170"):
        decode_nifti(header.binaryblock + volume()[348:])


def test_an_array_whose_header_breaks_off_is_excluded() -> None:
    data = array().replace(b"}", b" ", 1)
    with pytest.raises(DecodeError, match="not a readable NumPy array"):
        as_array(data)


def test_a_dicom_value_of_an_impossible_length_is_excluded() -> None:
    # Rows as a long integer of two bytes: it has four
    data = dicom().replace(b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x10\x00UL\x02\x00")
    with pytest.raises(DecodeError, match="not a readable DICOM image: Expected total bytes"):
        decode_dicom(data)

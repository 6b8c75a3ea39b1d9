"""An address to pixels: the decoder of each format by the ending. Nothing here knows a dataset."""

from __future__ import annotations

from supremix_datasets.cards.dataset import Decoded
from supremix_datasets.decoding.nifti import decode_nifti
from supremix_datasets.decoding.pictures import decode_picture
from supremix_datasets.errors import DecodeError
from supremix_datasets.sources.files import file_name, folder_files, is_hidden, read_bytes

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
VOLUMES = (".nii.gz", ".nii")
ARRAYS = (".npy",)
DICOM = (".dcm",)
VIDEOS = (".avi", ".mp4", ".mov")
ENDINGS = PICTURES + VOLUMES + ARRAYS + DICOM + VIDEOS


def decode_file(address: str, *, channels: int = 1) -> Decoded:
    """Decode an image of any supported format, distinguished by the ending of the address.

    Args:
        address: fsspec address: a picture, a NIfTI volume, a NumPy array, a DICOM file, a video,
            or, ending in ``/``, a folder whose DICOM files are the slices of one volume.
        channels: 3 for still pictures in colour; all else is grey.

    Raises:
        DecodeError: the ending is not known, or the file is damaged.
    """
    # The rarer formats need heavy libraries, which are loaded when one comes.
    if address.endswith("/"):
        from supremix_datasets.decoding.dicom import decode_dicom_series
        from supremix_datasets.decoding.dicom_frames import is_picture

        parts = [read_bytes(part) for part in folder_files(address) if not is_hidden(part)]
        return decode_dicom_series([part for part in parts if is_picture(part)] or parts)
    ending = ending_of(address)
    if not ending:
        raise DecodeError(f"expected a file ending in one of {ENDINGS}, found {address!r}")
    data = read_bytes(address)
    if ending in PICTURES:
        return decode_picture(data, channels=channels)
    if ending in VOLUMES:
        return decode_nifti(data)
    if ending in ARRAYS:
        from supremix_datasets.decoding.arrays import decode_npy

        return decode_npy(data, None)
    if ending in DICOM:
        from supremix_datasets.decoding.dicom import decode_dicom

        return decode_dicom(data)
    from supremix_datasets.decoding.video import decode_video

    return decode_video(data)


def ending_of(address: str) -> str:
    """The ending that names the format, in lower case, ``.nii.gz`` as a whole; empty if none.

    Args:
        address: A file's address, or its path; of a zip's member it is that of the member.
    """
    name = file_name(address).lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")

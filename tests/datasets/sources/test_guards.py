from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from supremix_datasets import DecodeError
from supremix_datasets.decoding.images import decode_nifti
from supremix_datasets.sources import guards
from supremix_datasets.sources.files import read_bytes, zip_members


def zipped(path: Path, members: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return f"file://{path}"


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    address = zipped(tmp_path / "bomb.zip", {"a.nii": b"\0" * (guards.SMALL + 1)})
    with pytest.raises(DecodeError, match=r"unpacks from \d+ to 67108865 bytes, more than 400"):
        read_bytes(f"zip://a.nii::{address}")


def test_a_small_member_may_shrink_as_it_likes(tmp_path: Path) -> None:
    address = zipped(tmp_path / "zeros.zip", {"a.nii": b"\0" * 1_000_000})
    assert len(read_bytes(f"zip://a.nii::{address}")) == 1_000_000


def test_a_file_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "MAX_BYTES", 1000)
    (tmp_path / "large.png").write_bytes(b"x" * 1001)
    with pytest.raises(DecodeError, match="more than 1000 bytes"):
        read_bytes(str(tmp_path / "large.png"))
    address = zipped(tmp_path / "large.zip", {"a": b"x" * 1001})
    with pytest.raises(DecodeError, match="the file has 1001 bytes, at most 1000"):
        read_bytes(f"zip://a::{address}")


@pytest.mark.parametrize("name", ["../evil.nii", "a/../../evil.nii", "/etc/evil", "C:\\evil"])
def test_a_path_that_leaves_the_zip_is_refused(tmp_path: Path, name: str) -> None:
    address = zipped(tmp_path / "evil.zip", {"good.nii": b"x", name: b"x"})
    with pytest.raises(DecodeError, match="which leaves its folder"):
        zip_members(address)
    assert [path.name for path in tmp_path.iterdir()] == ["evil.zip"]


@pytest.mark.parametrize("path", ["a.png", "a/b.png", "a..b/c.png", "..a/b.png", "a:b.png"])
def test_ordinary_paths_stay(path: str) -> None:
    assert not guards.leaves_folder(path)


def test_a_gzip_that_holds_more_than_its_header_says_is_refused() -> None:
    volume = np.ones((9, 10, 11), np.int16)
    data = nib.Nifti1Image(volume, np.eye(4)).to_bytes()
    assert decode_nifti(gzip.compress(data + b"\0" * 1000)).pixels.shape == (9, 10, 11)
    with pytest.raises(DecodeError, match="unpacks to more than the"):
        decode_nifti(gzip.compress(data + b"\0" * (guards.SLACK + 5)))


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_claims_too_much_is_refused(packed: bool) -> None:
    image = nib.Nifti1Image(np.ones((9, 10, 11), np.int16), np.eye(4))
    data = bytearray(image.to_bytes())
    data[42:48] = np.array([30000, 30000, 30000], np.int16).tobytes()
    raw = gzip.compress(bytes(data)) if packed else bytes(data)
    with pytest.raises(DecodeError, match="the header claims 30000 x 30000 x 30000 pixels"):
        decode_nifti(raw)


def test_gzip_members_in_a_row_are_one_file_and_truncation_is_noticed() -> None:
    parts = gzip.compress(b"one") + b"\0\0" + gzip.compress(b"two") + b"\0"
    assert guards.gunzip(parts) == b"onetwo" == gzip.decompress(parts)
    with pytest.raises(EOFError, match="ends too early"):
        guards.gunzip(gzip.compress(b"one")[:-4])
    with pytest.raises(DecodeError, match="unpacks to more than the 5 bytes"):
        guards.gunzip(parts, 5)
    assert guards.gunzip_head(gzip.compress(b"x" * 1000), 10) == b"x" * 10


def test_reading_stops_at_the_limit() -> None:
    assert guards.read_limited(io.BytesIO(b"12345"), 5) == b"12345"
    with pytest.raises(DecodeError, match="more than 4 bytes"):
        guards.read_limited(io.BytesIO(b"12345"), 4)

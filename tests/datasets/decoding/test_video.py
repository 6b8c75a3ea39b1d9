from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from supremix_datasets import DatasetError, DecodeError
from supremix_datasets.decoding import video
from supremix_datasets.decoding.video import decode_video, encode_mjpg_avi

Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def frames() -> Frames:
    noise = np.random.default_rng(0).normal(size=(20, 48, 64))
    return np.clip(ndimage.gaussian_filter(noise, 2) * 600 + 120, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def avi(frames: Frames) -> bytes:
    return encode_mjpg_avi(frames, 50)


def encode(frames: NDArray[Any], container: str, codec: str, pixels: str, kind: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=30)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.bit_rate = 20_000_000
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format=kind)
            out.mux(stream.encode(frame.reformat(format=pixels)))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def chunks_of(avi: bytes) -> list[bytes]:
    at, chunks = avi.find(b"movi") + 4, []
    while avi[at : at + 4] == b"00dc":
        size = struct.unpack("<I", avi[at + 4 : at + 8])[0]
        chunks.append(avi[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return chunks


def with_chunks(avi: bytes, chunks: list[bytes]) -> bytes:
    """The header of a file, which claims its own number of frames, before other frames."""
    movi = avi.find(b"movi")
    body = b"".join(b"00dc" + struct.pack("<I", len(c)) + c + b"\0" * (len(c) % 2) for c in chunks)
    return avi[: movi - 4] + struct.pack("<I", len(body) + 4) + b"movi" + body


def test_all_frames_come_back_as_grey(frames: Frames, avi: bytes) -> None:
    image = decode_video(avi)
    assert image.pixels.shape == frames.shape
    assert image.pixels.dtype == np.uint8
    assert image.spacing is None
    assert np.abs(image.pixels.astype(float) - frames).mean() < 2
    assert abs(image.pixels.mean() - frames.mean()) < 0.2


def test_the_same_frames_give_the_same_bytes(frames: Frames, avi: bytes) -> None:
    assert encode_mjpg_avi(frames, 50) == avi
    assert avi[:4] == b"RIFF"
    assert b"MJPG" in avi[:300]


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 17, 23), (2, 112, 112)])
def test_any_number_and_size_of_frames(shape: tuple[int, int, int]) -> None:
    flat = np.full(shape, 100, np.uint8)
    flat[:, 4:, :] = 200
    pixels = decode_video(encode_mjpg_avi(flat, 29.97)).pixels
    assert pixels.shape == shape
    assert np.abs(pixels.astype(int) - flat)[:, 12:].max() <= 2


@pytest.mark.parametrize(
    ("frames", "fps"),
    [
        (np.zeros((0, 16, 16), np.uint8), 30),
        (np.zeros((16, 16), np.uint8), 30),
        (np.zeros((2, 16, 16), np.float32), 30),
        (np.zeros((2, 16, 16), np.uint8), 0),
    ],
)
def test_what_is_no_video_is_not_written(frames: NDArray[Any], fps: float) -> None:
    with pytest.raises(DatasetError, match=r"expected frames \(T, H, W\) of uint8 and fps > 0"):
        encode_mjpg_avi(frames, fps)


@pytest.mark.parametrize("part", [0.4, 0.6, 0.9])
def test_a_truncated_avi_that_claims_all_frames_is_refused(avi: bytes, part: float) -> None:
    cut = avi[: int(len(avi) * part)]
    with av.open(io.BytesIO(cut)) as container:
        assert container.streams.video[0].frames == 20  # what the header still says
    with pytest.raises(DecodeError, match=r"truncated or damaged after \d+ of 20 frames"):
        decode_video(cut)


def test_an_avi_cut_between_two_frames_is_refused(avi: bytes) -> None:
    chunks = chunks_of(avi)
    assert len(decode_video(with_chunks(avi, chunks)).pixels) == 20
    with pytest.raises(DecodeError, match="claims 20 frames, but 12 could be decoded"):
        decode_video(with_chunks(avi, chunks[:12]))


def test_dropped_frames_count_as_missing(avi: bytes) -> None:
    chunks = chunks_of(avi)
    chunks[7] = b""
    with pytest.raises(DecodeError, match="claims 20 frames, but 19 could be decoded"):
        decode_video(with_chunks(avi, chunks))


@pytest.mark.parametrize("where", [0.3, 0.5, 0.7])
def test_damage_within_is_not_painted_over(avi: bytes, where: float) -> None:
    start = int(len(avi) * where)
    noise = np.random.default_rng(1).integers(0, 256, 200, dtype=np.uint8).tobytes()
    with pytest.raises(DecodeError, match=r"not a readable video|claims 20 frames"):
        decode_video(avi[:start] + noise + avi[start + 200 :])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"RIFF", "not a readable video"),
        (b"no video at all" * 50, "not a readable video"),
        (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", "not a readable video"),
        (b"ffconcat version 1.0\nfile other.avi\n", "not a readable video"),
    ],
)
def test_what_is_no_video_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode_video(data)


def test_a_file_with_sound_only_is_refused() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi") as out:
        stream: Any = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        out.mux(stream.encode(sound))
        out.mux(stream.encode(None))
    with pytest.raises(DecodeError, match="holds no video"):
        decode_video(buffer.getvalue())


def test_an_unknown_compression_is_refused(avi: bytes) -> None:
    with pytest.raises(DecodeError, match=r"not known here|not a readable video"):
        decode_video(avi.replace(b"MJPG", b"Zz9#"))


def test_a_container_that_does_not_count_its_frames_is_refused(frames: Frames) -> None:
    buffer = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(buffer, "w", format="mp4", options=options) as out:
        stream: Any = out.add_stream("mpeg4", rate=30)
        stream.height, stream.width = frames.shape[1:]
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            out.mux(stream.encode(frame.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    with pytest.raises(DecodeError, match="does not say how many frames"):
        decode_video(buffer.getvalue())


@pytest.mark.parametrize(
    ("container", "codec", "pixels"),
    [("mp4", "mpeg4", "yuv420p"), ("avi", "mpeg4", "yuv420p"), ("mov", "mjpeg", "yuvj422p")],
)
def test_other_containers_and_ranges_give_the_same_greys(
    frames: Frames, container: str, codec: str, pixels: str
) -> None:
    data = encode(frames, container, codec, pixels, "gray")
    decoded = decode_video(data).pixels.astype(float)
    assert decoded.shape == frames.shape
    slope, base = np.polyfit(frames.ravel(), decoded.ravel(), 1)
    assert slope == pytest.approx(1, abs=0.07)
    assert base == pytest.approx(0, abs=9)


def test_a_truncated_mp4_is_refused(frames: Frames) -> None:
    data = encode(frames, "mp4", "mpeg4", "yuv420p", "gray")
    with pytest.raises(DecodeError, match=r"not a readable video|truncated"):
        decode_video(data[: len(data) * 2 // 3])


def test_colour_becomes_luma() -> None:
    colours = np.zeros((3, 16, 16, 3), np.uint8)
    colours[0], colours[1], colours[2] = (255, 0, 0), (0, 255, 0), (80, 80, 80)
    pixels = decode_video(encode(colours, "avi", "rawvideo", "bgr24", "rgb24")).pixels
    assert pixels.shape == (3, 16, 16)
    np.testing.assert_allclose(pixels[:, 8, 8], [76, 150, 80], atol=3)


def test_a_bomb_is_refused_before_its_frames_are_made(
    avi: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MAX_PIXELS", 20 * 48 * 64 - 1)
    with pytest.raises(DecodeError, match="too large: 20 frames of 48 x 64 pixels"):
        decode_video(avi)
    monkeypatch.undo()
    monkeypatch.setattr(video, "MAX_FRAME_PIXELS", 1000)
    with pytest.raises(DecodeError, match="too large"):
        decode_video(avi)


def test_a_frame_that_grows_inside_the_video_is_refused(avi: bytes, frames: Frames) -> None:
    chunks = chunks_of(avi)
    chunks[5] = chunks_of(encode_mjpg_avi(np.ascontiguousarray(frames.repeat(2, 1)), 50))[5]
    with pytest.raises(DecodeError, match="frame 6 has 96 x 64 pixels, the ones before 48 x 64"):
        decode_video(with_chunks(avi, chunks))
    header = bytearray(chunks[6])
    at = header.find(b"\xff\xc0") + 5
    header[at : at + 4] = struct.pack(">HH", 30000, 30000)
    chunks = chunks_of(avi)
    chunks[6] = bytes(header)
    with pytest.raises(DecodeError, match="not a readable video"):
        decode_video(with_chunks(avi, chunks))


def test_a_header_that_claims_fewer_frames_does_not_lift_the_limit(
    avi: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = avi.replace(struct.pack("<I", 20), struct.pack("<I", 2))
    monkeypatch.setattr(video, "MAX_PIXELS", 10 * 48 * 64)
    with pytest.raises(DecodeError, match="too large"):
        decode_video(short)


QUARTER_TURNS = {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), -90: (0, 1, -1, 0)}


@pytest.mark.parametrize("degrees", sorted(QUARTER_TURNS))
def test_a_turned_video_is_read_as_it_is_shown(degrees: int) -> None:
    buffer = io.BytesIO()
    pixels = np.full((48, 64), 30, np.uint8)
    pixels[5:20, 5:30] = 200
    with av.open(buffer, mode="w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(4):
            frame = av.VideoFrame.from_ndarray(pixels, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    raw = bytearray(buffer.getvalue())
    a, b, c, d = (65536 * number for number in QUARTER_TURNS[degrees])
    struct.pack_into(">9i", raw, raw.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    upright = decode_video(buffer.getvalue()).pixels
    with av.open(io.BytesIO(bytes(raw))) as container:
        rotation = next(container.decode(video=0)).rotation
    assert abs(rotation) == abs(degrees)
    expected = np.rot90(upright, rotation // 90, axes=(1, 2))
    np.testing.assert_array_equal(decode_video(bytes(raw)).pixels, expected)
    struct.pack_into(">2i", raw, raw.index(b"tkhd") + 44, 46341, 46341)  # an eighth of a turn
    with pytest.raises(DecodeError, match="other than a quarter turn"):
        decode_video(bytes(raw))


@pytest.mark.parametrize(
    ("container", "codec", "pixels"),
    [
        ("avi", "ffv1", "gray10le"),
        ("mov", "prores_ks", "yuv422p10le"),
        ("mp4", "libx264", "yuv420p10le"),
    ],
)
def test_a_video_of_more_than_8_bits_is_refused(
    container: str, codec: str, pixels: str, frames: Frames
) -> None:
    data = encode(frames[:3], container, codec, pixels, "gray")
    with pytest.raises(DecodeError, match="10 bits a sample, and 8 are read"):
        decode_video(data)

"""Samples per second from the prepared store beside decoding the official files in every epoch.

    python benchmarks/store.py [--quick]     about half a minute

Three tables, all on one core and with everything in the page cache, where what is left is work:

1. The store against the files: what an epoch costs when each sample is read from the store, and
   when its file is decoded and brought to the card's grid again by the same code that prepares.
   Of a video both give one clip; only the frames of the clip are brought to the grid. Volumes
   are 182 x 218 x 182 in gzip in zips, radiographs 1300 x 1000 PNG. At least 10 times for both.
2. The memory map against memory: random batches read from a store, and the same rows copied from
   an array of the process's own. At most 2 times.
3. Four processes that read the same store: the memory of its map in each (Rss), and their shares
   of it (Pss: a page that n processes map counts as 1/n; the one that made the store maps it too,
   so a share is a fifth). Linux only.

The two that are compared take turns; the ratio is the median of the rounds' ratios. The exit
status tells whether the numbers make sense, not whether the machine is fast.
"""

from __future__ import annotations

import os

# read when the libraries are loaded
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import csv
import dataclasses
import gzip
import multiprocessing
import re
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from supremix_datasets import Card, Dataset, Decoded, Sample, Scan, Store, get, prepare, present
from supremix_datasets.phantoms.anatomy.hand import draw_hand
from supremix_datasets.phantoms.anatomy.radiograph import draw_exposure, render
from supremix_datasets.stores.clips import clip_frames, start_count

PROCESSES = 4
Array = np.ndarray


def write_volumes(folder: Path, count: int) -> None:
    """Brains as UK Biobank hands them out: skull taken off, 1 mm, 16 bits, gzip in a zip."""
    rng = np.random.default_rng(0)
    shape = (182, 218, 182)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij", sparse=True)
    radius = np.sqrt(sum((axis / r) ** 2 for axis, r in zip(grid, (0.75, 0.8, 0.7), strict=True)))
    inside = radius < 1
    for number in range(count):
        folds = ndimage.zoom(rng.normal(size=[n // 8 for n in shape]), 8.4, order=1)
        folds = folds[: shape[0], : shape[1], : shape[2]]
        tissue = 400 + 250 * (radius + 0.3 * folds < 0.7) + 120 * (folds > 0.5)
        noise = ndimage.uniform_filter(rng.normal(0, 60, shape), 2)  # what registering leaves
        pixels = np.where(inside, tissue + noise, 0).astype(np.int16)
        image = nib.Nifti1Image(pixels, np.diag([-1.0, 1, 1, 1]))
        name = f"{1000000 + number}_20252_2_0.zip"
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("T1/T1_brain_to_MNI.nii.gz", gzip.compress(image.to_bytes(), 6))
    rows = [(1000000 + number, 0, 50 + number) for number in range(count)]
    _write_table(folder / "ukb1.csv", ("eid", "31-0.0", "21003-2.0"), rows)


def write_radiographs(folder: Path, count: int) -> None:
    """Hands in the official size: rendered small, enlarged, with the film's grain."""
    place = folder / "boneage-training-dataset"
    place.mkdir()
    for number in range(count):
        rng = np.random.default_rng([1, number])
        exposure = dataclasses.replace(draw_exposure(rng), size=(325, 250))
        small = Image.fromarray(render(draw_hand(60 + number, True, rng), exposure, rng))
        large = np.asarray(small.resize((1000, 1300), Image.Resampling.BICUBIC), dtype=np.float32)
        grain = rng.normal(0, 2, large.shape)
        pixels = np.clip(large + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    rows = [(number, 60 + number, "True") for number in range(count)]
    _write_table(folder / "boneage-training-dataset.csv", ("id", "boneage", "male"), rows)


def write_videos(folder: Path, count: int) -> None:
    """The dataset's own phantoms, which have the official size."""
    phantom = get("echonet-dynamic").phantom
    if phantom is None:
        raise SystemExit("echonet-dynamic has no phantoms, so there is nothing to measure")
    phantom.write(folder, count, 0, (0, 1))


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


class Epoch:
    """One epoch of a dataset, from its store or from its files, in a random order."""

    def __init__(self, name: str, folder: Path, cache: Path) -> None:
        self.dataset = get(name)
        self.store = prepare(name, folder, cache=cache)
        self.card = self.store.card
        samples = {sample.id: sample for sample in self.dataset.reader.scan(str(folder)).samples}
        self.samples = [samples[name] for name in self.store.index["id"].to_list()]
        self.shuffle(0)

    def shuffle(self, seed: int) -> None:
        """Draw the order, and the clips of videos."""
        rng = np.random.default_rng(seed)
        self.order = rng.permutation(len(self.store))
        self.starts = np.zeros(len(self.store), np.int64)
        if self.card.period is not None:
            self.starts = rng.integers(start_count(self.store.lengths[self.order], self.card))

    def from_store(self, batch: int = 8) -> list[Array]:
        """All samples, a batch at a time."""
        parts = range(0, len(self.order), batch)
        found = [
            self.store.read(self.order[i : i + batch], self.starts[i : i + batch]) for i in parts
        ]
        return [image for images in found for image in images]

    def from_files(self) -> list[Array]:
        """All samples, decoded and brought to the card's grid anew."""
        return [
            self._decode(self.samples[position], int(start))
            for position, start in zip(self.order, self.starts, strict=True)
        ]

    def _decode(self, sample: Sample, start: int) -> Array:
        image = Decoded.of(self.dataset.reader.decode(sample.address))
        if self.card.period is None:
            return present(self.card, image, sample.covariates).pixels
        frames = clip_frames(start, len(image.pixels), self.card)
        clip = present(self.card, Decoded(image.pixels[frames]), sample.covariates).pixels
        return np.moveaxis(clip, 1, 0)


@dataclasses.dataclass(frozen=True)
class NoiseReader:
    """As many images of noise as one likes, out of nothing but their number."""

    count: int
    card: Card
    length: int
    version: int = 1

    def scan(self, source: str) -> Scan:
        """Each is a group of its own."""
        samples = [
            Sample(id=str(n), group=str(n), target=1.0, address=f"{source}/{n}")
            for n in range(self.count)
        ]
        return Scan(samples=tuple(samples))

    def decode(self, address: str) -> Array:
        """The number is the seed."""
        rng = np.random.default_rng(int(address.rsplit("/", 1)[1]))
        frames = () if self.card.period is None else (self.length,)
        return rng.integers(0, 256, (*frames, *self.card.frame_shape), dtype=np.uint8)


def noise_store(name: str, count: int, folder: Path, length: int = 1) -> Store:
    """A store of the grid of a dataset's card, of a size that no processor's cache holds."""
    card = dataclasses.replace(
        get(name).card, name="noise", intensity="stored", covariates=(), spacing=None
    )
    source = folder / name
    source.mkdir()
    for number in range(count):
        (source / str(number)).touch()
    return prepare(
        Dataset(card=card, reader=NoiseReader(count, card, length)), source, cache=folder
    )


def turns(first: Callable[[], object], second: Callable[[], object], rounds: int) -> Array:
    """``(rounds, 2, 2)`` seconds of two things that take turns, after one round to warm up.

    The last axis is the clock and the processor's time, which other processes spare.
    """
    times = np.zeros((rounds + 1, 2, 2))
    for number in range(rounds + 1):
        pair = list(enumerate((first, second)))
        for place, run in pair if number % 2 else pair[::-1]:
            started, worked = time.perf_counter(), time.process_time()
            run()
            times[number, place] = time.perf_counter() - started, time.process_time() - worked
    return times[1:]


def against_files(folder: Path, quick: bool) -> bool:
    """Table 1; whether the store gives what the files give, and is not slower."""
    print("store against files, samples a second on one core")
    good = True
    cases = (
        ("volumes 91 x 109 x 91", "ukb-t1", write_volumes, 4, "at least 10"),
        ("radiographs 256 x 256", "rsna-bone-age", write_radiographs, 8, "at least 10"),
        ("clips 32 x 112 x 112", "echonet-dynamic", write_videos, 16, "-"),
    )
    for title, name, write, count, goal in cases:
        source = folder / f"files-{name}"
        source.mkdir()
        write(source, count)
        epoch = Epoch(name, source, folder / "cache")
        same = zip(epoch.from_store(), epoch.from_files(), strict=True)
        good &= all(np.array_equal(a, b) for a, b in same)
        seconds = turns(epoch.from_store, epoch.from_files, 3 if quick else 7)
        store, files = (count / float(s) for s in np.median(seconds[..., 0], axis=0))
        ratio, worked = np.median(seconds[:, 1] / seconds[:, 0], axis=0)
        good &= bool(worked > 1)
        print(
            f"  {title:24s} store {store:10.1f}   files {files:8.1f}   ratio {ratio:8.1f}, "
            f"of processor time {worked:8.1f}   (asked: {goal})"
        )
    return good


def rows_of(store: Store, positions: Array) -> Array:
    """``(B,)`` rows of images, or ``(B, frames)`` rows of the first clips of videos."""
    rows = store.rows[positions]
    if store.card.period is None:
        return rows
    return rows[:, None] + clip_frames(0, store.lengths[positions][:, None], store.card)


def against_memory(stores: dict[str, Store], quick: bool) -> bool:
    """Table 2; whether the same bytes come out, in a time that makes sense."""
    print("memory map against memory, GB a second, random batches of 16 on one core")
    good = True
    for title, store in stores.items():
        memory = np.array(store.images)
        rng = np.random.default_rng(0)
        batches = [rng.integers(len(store), size=16) for _ in range(max(len(store) // 16, 4))]
        rows = [rows_of(store, batch) for batch in batches]
        same = store.read(batches[0]).ravel(), memory[rows[0]].ravel()  # with one channel
        good &= np.array_equal(*same)

        def read(store: Store = store, batches: list[Array] = batches) -> None:
            for batch in batches:
                store.read(batch)

        def copy(memory: Array = memory, rows: list[Array] = rows) -> None:
            for row in rows:
                memory.take(row, axis=0)

        seconds = turns(read, copy, 5 if quick else 15)
        size = sum(row.size for row in rows) * memory[0].nbytes / 1e9
        mapped, copied = (size / float(s) for s in np.median(seconds[..., 0], axis=0))
        ratio, worked = np.median(seconds[:, 0] / seconds[:, 1], axis=0)
        good &= bool(worked < 10)
        print(
            f"  {title:24s} map {mapped:10.2f}   memory {copied:7.2f}   "
            f"time ratio {ratio:5.2f}, of processor time {worked:5.2f}   (asked: at most 2)"
        )
    return good


def memory_of(path: Path, file: str) -> dict[str, float]:
    """Megabytes of the part of a ``smaps`` of this process that belongs to a mapped file."""
    found: dict[str, float] = {}
    counts = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            counts = file in line
        elif counts and (match := re.match(r"(\w+): +(\d+) kB", line)):
            found[match[1]] = found.get(match[1], 0.0) + int(match[2]) / 1024
    return found


def read_all(path: str, barrier: Barrier, answers: multiprocessing.Queue[Array]) -> None:
    """Read a whole store, wait until all have, and say what memory that takes."""
    store = Store.open(path)
    for start in range(0, len(store), 16):
        store.read(np.arange(start, min(start + 16, len(store))))
    barrier.wait()
    memory = memory_of(Path("/proc/self/smaps"), f"{path}/images.bin")
    whole = memory_of(Path("/proc/self/smaps_rollup"), "[rollup]")
    answers.put(np.array([*(memory[k] for k in FIELDS), whole["Rss"], whole["Pss"]]))
    barrier.wait()  # nobody leaves before all have looked


FIELDS = ("Rss", "Pss", "Shared_Clean", "Private_Clean", "Private_Dirty")


def shared_pages(store: Store) -> bool:
    """Table 3; whether the processes hold the store once, and not once each."""
    size = store.images.nbytes / 2**20
    print(f"{PROCESSES} processes with one store of {size:.0f} MiB, MiB")
    if not Path("/proc/self/smaps_rollup").exists():
        print("  this system does not tell what is shared")
        return True
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(PROCESSES + 1), context.Queue()
    arguments = (store.path, barrier, answers)
    processes = [context.Process(target=read_all, args=arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    barrier.wait()
    found = np.stack([answers.get() for _ in processes])
    barrier.wait()
    for process in processes:
        process.join()
    print("  of the map    " + "".join(f"{name:>15s}" for name in FIELDS))
    for number, row in enumerate(found):
        print(f"  process {number}     " + "".join(f"{v:15.1f}" for v in row[: len(FIELDS)]))
    together = found.sum(0)
    print("  all           " + "".join(f"{v:15.1f}" for v in together[: len(FIELDS)]))
    print(f"  whole processes together: Rss {together[-2]:.0f}, Pss {together[-1]:.0f}")
    private = float(together[3] + together[4])
    return bool(found[:, 0].min() > 0.9 * size and private < 0.1 * size)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = [against_files(folder, args.quick)]
        stores = {
            "volumes 91 x 109 x 91": noise_store("ukb-t1", 128, folder),
            "radiographs 256 x 256": noise_store("rsna-bone-age", 1024, folder),
            "clips 32 x 112 x 112": noise_store("echonet-dynamic", 128, folder, length=72),
        }
        good.append(against_memory(stores, args.quick))
        good.append(shared_pages(next(iter(stores.values()))))
    if not all(good):
        print(
            "these numbers make no sense: a store gives other bytes, is slower or not shared",
            file=sys.stderr,
        )
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())

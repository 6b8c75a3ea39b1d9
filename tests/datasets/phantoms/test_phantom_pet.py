from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from supremix_datasets import Dataset, Store, assign, prepare
from supremix_datasets.cards.dataset import PhantomWriter
from supremix_datasets.phantoms.anatomy.amyloid_pet import (
    WHITE,
    Camera,
    Head,
    Regions,
    draw_camera,
    draw_head,
    render,
    spread,
)
from supremix_datasets.readers.a4_amyloid import DATASET as A4
from supremix_datasets.readers.adni_amyloid import DATASET as ADNI

BOTH = pytest.mark.parametrize("dataset", [ADNI, A4], ids=lambda dataset: dataset.name)


def ratio(cortex: NDArray[Any], cerebellum: NDArray[Any], regions: Regions) -> float:
    """Mean over the cortical region by mean over the whole cerebellum, weighted with the shares."""
    means = (
        (image * share).sum(dtype=np.float64) / share.sum(dtype=np.float64)
        for image, share in ((cortex, regions.cortex), (cerebellum, regions.cerebellum))
    )
    return float(next(means) / next(means))


def writer(dataset: Dataset) -> PhantomWriter:
    assert dataset.phantom is not None
    return dataset.phantom.write


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepare(ADNI, cache=tmp_path_factory.mktemp("phantoms"), phantoms=16)


@pytest.fixture
def head() -> Head:
    return draw_head(np.random.default_rng(0))


@pytest.fixture
def clean() -> Camera:
    """A still head under a camera without noise and tilt."""
    camera = draw_camera(np.random.default_rng(0))
    still = replace(camera, turn=Rotation.identity(), shift=np.zeros(3), counts=1e9)
    return replace(still, scale=1.0, slope=np.zeros(3))


@pytest.mark.parametrize("tracer", sorted(WHITE))
@pytest.mark.parametrize("suvr", [0.6, 1.0, 1.7, 3.0])
def test_the_ratio_of_the_tissues_is_the_label(tracer: str, suvr: float) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        uptake, regions = spread(draw_head(rng), suvr, tracer, draw_camera(rng))
        assert ratio(uptake.cortex, uptake.cerebellum, regions) == pytest.approx(suvr, rel=1e-5)


def test_blur_takes_from_the_cortex_but_keeps_the_order(head: Head, clean: Camera) -> None:
    _, regions = spread(head, 1.0, "FBP", clean)
    labels = (0.8, 1.1, 1.4, 1.8)
    images = [render(head, s, "FBP", clean, np.random.default_rng(1)) for s in labels]
    seen = [ratio(image, image, regions) for image in images]
    assert seen == sorted(seen)
    assert seen[-1] < labels[-1]


def test_counts_tell_nothing(head: Head, clean: Camera) -> None:
    one, other = (
        render(head, 1.3, "FBP", replace(clean, scale=scale), np.random.default_rng(1))
        for scale in (1000.0, 9000.0)
    )
    np.testing.assert_allclose(other, 9 * one, rtol=1e-5)


def test_few_counts_are_noisy(head: Head, clean: Camera) -> None:
    def spread_of(counts: float) -> float:
        camera = replace(clean, counts=counts)
        images = [
            render(head, 1.3, "FBP", camera, np.random.default_rng(seed)) for seed in range(4)
        ]
        return float(np.std(images, axis=0).mean())

    assert spread_of(100) > 1.8 * spread_of(400)


def test_white_matter_shines_without_amyloid(head: Head, clean: Camera) -> None:
    uptake, regions = spread(head, 1.0, "FBP", clean)
    white = uptake.mixed[regions.white > 0.95].mean()
    assert white > 1.2 * uptake.mixed[regions.cortex > 0.95].mean()


def test_the_reader_reads_them_all(store: Store) -> None:
    assert len(store) == 16
    assert store.quarantine.height == 0
    assert store.card.shape == (30, 36, 30)
    assert store.card.spacing == (6.0, 6.0, 6.0)
    assert store.index["group"].n_unique() < 16  # some came twice
    assert set(np.unique(store.covariates[:, 0])) == {0.0, 1.0}
    assert 0.7 < store.targets.min() < 1.1 < store.targets.max() < 2.5
    assert len(set(assign(store.index))) == 3


def test_dicom_and_nifti_show_the_head_the_same_way_up(store: Store) -> None:
    # the image of all heads, by format: the glands are low, the cerebellum low and at the back
    nifti = np.arange(16) % 8 == 7
    order = np.argsort([int(name.rsplit("I", 1)[-1]) for name in store.index["id"]])
    images = np.asarray(store.images)[order, 0].astype(float)
    means = [images[nifti].mean(0), images[~nifti].mean(0)]
    assert np.corrcoef(means[0].ravel(), means[1].ravel())[0, 1] > 0.9
    for mean in means:
        centre = (mean * np.arange(30)).sum() / mean.sum()
        assert abs(centre - 14.5) < 1.5
        back, front = mean[:, :12, 5:9].mean(), mean[:, -12:, 5:9].mean()
        assert back > 1.3 * front


def test_the_slices_have_slopes_of_their_own_and_names_without_order(tmp_path: Path) -> None:
    writer(ADNI)(tmp_path, 1, 0, (0, 1))
    heads = [pydicom.dcmread(path) for path in sorted(tmp_path.rglob("*.dcm"))]
    places = [float(d.ImagePositionPatient[2]) for d in heads]
    assert len(heads) == 30
    assert places not in (sorted(places), sorted(places, reverse=True))
    assert len({float(d.RescaleSlope) for d in heads}) > 20
    assert {(d.Modality, d.Units, d.BitsStored) for d in heads} == {("PT", "BQML", 16)}


@BOTH
def test_a_seed_gives_the_same_bytes_in_any_number_of_parts(
    dataset: Dataset, tmp_path: Path
) -> None:
    found = []
    for name, seed, parts in (("a", 0, 1), ("b", 0, 3), ("c", 1, 1)):
        (tmp_path / name).mkdir()
        for part in range(parts):
            writer(dataset)(tmp_path / name, 4, seed, (part, parts))
        found.append(digests(tmp_path / name))
    assert found[0] == found[1] != found[2]


@BOTH
def test_more_phantoms_leave_the_first_as_they_are(dataset: Dataset, tmp_path: Path) -> None:
    for name, count in (("few", 3), ("many", 6)):
        (tmp_path / name).mkdir()
        writer(dataset)(tmp_path / name, count, 0, (0, 1))
    few, many = digests(tmp_path / "few"), digests(tmp_path / "many")
    images = {path: digest for path, digest in few.items() if not path.endswith(".csv")}
    assert images.items() <= many.items()
    assert [s.id for s in dataset.reader.scan(str(tmp_path / "few")).samples] == [
        s.id
        for s in dataset.reader.scan(str(tmp_path / "many")).samples
        if s.id in {s.id for s in dataset.reader.scan(str(tmp_path / "few")).samples}
    ]


def test_a4_has_several_rows_a_person(tmp_path: Path) -> None:
    writer(A4)(tmp_path, 3, 0, (0, 1))
    scan = A4.reader.scan(str(tmp_path))
    assert len(scan.samples) == 3
    assert not scan.rejected
    lines = (tmp_path / "imaging_SUVR_amyloid.csv").read_text().splitlines()
    assert len(lines) == 1 + 5 * 3
    (image, *_) = sorted(tmp_path.rglob("*.nii.gz"))
    bid, session = image.parts[-4:-2]
    assert image.name == f"A4_PET_FBP_{bid}_{session}.nii.gz"


def test_a4_patients_who_were_screened_again_are_one_group_under_two_bids(tmp_path: Path) -> None:
    writer(A4)(tmp_path, 40, 0, (0, 1))
    samples = A4.reader.scan(str(tmp_path)).samples
    assert len(samples) == 40
    bids: dict[str, set[str]] = {}
    for sample in samples:
        bids.setdefault(sample.group, set()).add(sample.id.split("_")[0])
    assert {len(several) for several in bids.values()} == {1, 2}
    table = (tmp_path / "imaging_SUVR_amyloid.csv").read_text()
    assert ",No,,,," in table  # not analysed: no region


@BOTH
def test_the_dataset_says_how_many(dataset: Dataset) -> None:
    assert dataset.phantom is not None
    assert dataset.phantom.samples >= 128

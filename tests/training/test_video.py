"""Videos: clips in training, the mean over clips in evaluation; a pulse whose beats are counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from supremix.models import EncoderSpec
from supremix.training import Solo, Task, TrainedModel, TrialRun
from supremix.training.data.batches import Batches
from supremix.training.data.resident import load_images
from supremix.training.data.trial_data import TrialData
from supremix_datasets import Augmentation, Card, Dataset, Decoded, Sample, Scan, Store, prepare
from supremix_datasets.stores.clips import clip_step, covering_starts, take_clip

COUNT = 48


class PingReader:
    """Makes videos of 6 to 40 frames from their number; the label is how fast they beat."""

    version = 1

    def scan(self, source: str) -> Scan:
        samples = [
            Sample(id=str(n), group=str(n), target=1.0 + n % 7, address=str(n))
            for n in range(COUNT)
        ]
        return Scan(samples=tuple(samples))

    def decode(self, address: str) -> Decoded:
        number = int(address)
        rng = np.random.default_rng(number)
        time = np.arange(6 + (number * 5) % 35)
        beat = 120 + 80 * np.sin(time * (1 + number % 7) / 8 + rng.uniform(0, 6))
        noise = rng.uniform(-20, 20, (len(time), 12, 12))
        return Decoded((beat[:, None, None] + noise).astype(np.uint8))


@pytest.fixture(scope="module")
def pings(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("pulses")
    (folder / "file").write_text("x")
    card = Card(
        name="pulses",
        title="Pulses",
        modality="video",
        target="rate",
        unit="beats",
        label_bin=1.0,
        label_scale=1.0,
        window=3.0,
        label_range=(0.0, 20.0),
        shape=(8, 12, 12),
        period=2,
        gain=1 / 64,
        augmentation=Augmentation(flip_axes=(1, 2), gain=0.1),
    )
    return prepare(Dataset(card=card, reader=PingReader()), str(folder), cache=cache)


@pytest.fixture
def task(pings: Store) -> Task:
    return Task(
        store=pings.path, method="l1", encoder=EncoderSpec(width=4), epochs=2, seed=1, threads=1
    )


def test_each_view_is_a_clip_of_the_video(task: Task, pings: Store) -> None:
    data = TrialData(task, torch.device("cpu"))
    stage = TrialRun(dataclasses.replace(task, method="supremix"), {"batch_size": 16}).stages[0]
    batches = Batches(stage, data, key=(0,), augment=False, collective=Solo())
    batch = next(batches.epoch(0))
    assert batch.images.shape == (2 * len(batch.members), 1, 8, 12, 12)
    different = 0
    for row, view in enumerate(batch.images):
        position = batch.members[row // 2]
        length = int(pings.lengths[position])
        rows = pings.images[pings.rows[position] : pings.rows[position] + length]
        clips = [take_clip(rows, start, data.card) for start in range(max(length - 14, 1))]
        matches = [np.array_equal(view.numpy() * 64, clip) for clip in clips]
        assert any(matches)
        different += row % 2 and not torch.equal(view, batch.images[row - 1])
    assert different > len(batch.members) // 3  # some videos are no longer than a clip


def test_a_prediction_is_the_mean_over_clips_that_cover_the_video(
    task: Task, pings: Store, tmp_path: Path
) -> None:
    run = TrialRun(dataclasses.replace(task, flips=True), {"batch_size": 16})
    run.advance()
    run.advance()
    positions = run.data.positions("test")
    evaluated = run.predict(positions)
    run.export(tmp_path)
    model = TrainedModel.load(tmp_path)
    reader = PingReader()
    for position, value in zip(positions, evaluated, strict=True):
        video = reader.decode(pings.index["id"][int(position)]).pixels
        assert model.predict(video) == pytest.approx(value, abs=1e-4)
        starts = covering_starts(len(video), run.data.card, clip_step(run.data.card, thorough=True))
        alone = [
            _one_clip(run, take_clip(video[:, None], start, run.data.card)) for start in starts
        ]
        assert np.mean(alone) == pytest.approx(value, abs=1e-4)


def _one_clip(run: TrialRun, clip: np.ndarray) -> float:
    shown = torch.from_numpy(clip)[None].float() / 64
    views = [shown, shown.flip(3), shown.flip(4), shown.flip(3, 4)]
    with torch.no_grad():
        features = torch.stack([run.ema_model.features(v, torch.zeros(1, 0)) for v in views]).mean(
            0
        )
        return float(run.data.target_scale.restore(run.ema_model.head(features))[0])


def test_supremix_trains_on_clips_and_resumes(task: Task) -> None:
    task = dataclasses.replace(task, method="supremix", epochs=3)
    config = {"batch_size": 16, "projection_dim": 8, "pretrain_share": 0.5}
    whole = TrialRun(task, config)
    rows = [whole.advance() for _ in range(3)]
    first = TrialRun(task, config)
    first.advance()
    second = TrialRun(task, config)
    second.load(first.state())
    second.advance()
    assert second.advance()["error"] == rows[2]["error"]
    assert np.isfinite([row["error"] for row in rows]).all()


def test_frames_kept_on_the_device_are_those_of_the_map(task: Task, pings: Store) -> None:
    data = TrialData(task, torch.device("cpu"))
    positions = np.arange(len(pings), dtype=np.int64)
    starts = data.draw_starts(positions, torch.Generator().manual_seed(0))
    mapped = data.decode(data.source(positions, starts))
    data._resident = load_images(pings, torch.device("cpu"))
    assert torch.equal(data.decode(data.source(positions, starts)), mapped)

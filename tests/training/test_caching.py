"""Steps in chunks against steps on the whole batch, alone and over two and three processes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from worker_group import begin_on_workers, on_workers

from supremix.models import EncoderSpec, Network
from supremix.training import ConfigError, Solo, Task, TaskError, TrialRun, preflight
from supremix.training.data.batches import Batch
from supremix.training.steps.gradient_cache import cuts
from supremix_datasets.augment import Augmenter
from supremix_datasets.stores.store import Store

# At a mild temperature: sharp ones magnify what float32 rounds off.
METHODS = {
    "supremix": {"temperature": 1.0},
    "supcon": {"temperature": 1.0},
    "simclr": {"temperature": 1.0},
    "rnc": {"projection": False},
    "yaware": {"temperature": 1.0},
    "expw": {"temperature": 1.0, "kernel": "cauchy"},
}
# Of 54 images: four batches of 14, 14, 13 and 13, which two and three workers share unevenly.
BATCH = 16


def build_grouped(spatial_dims: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 5, stride=3, bias=False),
        nn.GroupNorm(2, 8),
        nn.SiLU(),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
    )


def build_forgetful(spatial_dims: int, channels: int) -> nn.Module:
    return nn.Sequential(build_grouped(spatial_dims, channels), nn.Dropout(0.5))


def build_normed(spatial_dims: int, channels: int) -> nn.Module:
    return nn.Sequential(build_grouped(spatial_dims, channels), nn.BatchNorm1d(8))


def build_unseeded(spatial_dims: int, channels: int) -> nn.Module:
    torch.seed()
    return build_grouped(spatial_dims, channels)


def of(task: Task, method: str, chunk: int | None, builder: Any = build_grouped) -> Task:
    encoder = EncoderSpec(builder=builder)
    return dataclasses.replace(task, method=method, chunk=chunk, encoder=encoder, epochs=2)


def begin(task: Task, collective: Any = None) -> tuple[TrialRun, Any, list[Batch]]:
    """A run before its first step, what makes the steps, and the batches of its first epoch."""
    values = METHODS.get(str(task.method), {})
    config = {"batch_size": BATCH, "projection_dim": 8, **values}
    run = TrialRun(task, config, collective=collective or Solo(), device="cpu")
    trainer = run.trainer_of(0)
    run.model.train()
    return run, trainer, list(trainer.batches.epoch(0))


def gradients(run: TrialRun) -> list[Tensor]:
    """The parameters' gradients, which are taken away."""
    found = [p.grad.clone() for p in run.model.parameters() if p.grad is not None]
    run.model.zero_grad(set_to_none=True)
    return found


def steps(task: Task, collective: Any = None) -> list[list[Tensor]]:
    """Of the first and the last batch of an epoch: the loss, then the gradients."""
    run, trainer, batches = begin(task, collective)
    results = []
    for batch in (batches[0], batches[-1]):
        # Whatever an encoder draws, it draws the same in every run.
        torch.manual_seed(5)
        own = trainer.backward(batch)
        results.append([run.collective.sum(own), *gradients(run)])
    return results


def assert_same(found: list[list[Tensor]], wanted: list[list[Tensor]], name: str) -> None:
    for step, reference in zip(found, wanted, strict=True):
        assert any(gradient.abs().max() > 1e-3 for gradient in reference[1:]), name
        for one, other in zip(step, reference, strict=True):
            # Beside 1, or beside the largest entry of what is larger.
            limit = 1e-6 * max(1.0, float(other.abs().max()))
            torch.testing.assert_close(one, other, rtol=0, atol=limit, msg=lambda m: f"{name}: {m}")


@pytest.mark.parametrize("chunk", [1, 5, 100])
@pytest.mark.parametrize("method", METHODS)
def test_chunks_give_the_gradients_of_the_whole_batch(task: Task, method: str, chunk: int) -> None:
    assert_same(steps(of(task, method, chunk)), steps(of(task, method, None)), method)


def all_steps(collective: Any, tasks: dict[str, Task]) -> dict[str, list[list[Tensor]]]:
    return {method: steps(task, collective) for method, task in tasks.items()}


def test_chunks_on_two_and_three_workers_give_the_gradients_of_one(
    task: Task, tmp_path: Path
) -> None:
    tasks = {method: of(task, method, 3) for method in METHODS}
    groups = {world: begin_on_workers(world, tmp_path, all_steps, tasks) for world in (2, 3)}
    alone = {method: steps(of(task, method, None)) for method in METHODS}
    for world, results in groups.items():
        for rank, found in enumerate(results()):
            for method, wanted in alone.items():
                assert_same(found[method], wanted, f"{method}, {rank} of {world}")


def weights(collective: Any, task: Task) -> list[Any]:
    """The networks of a run before and after an epoch."""
    run = begin(task, collective)[0]
    before = run.state()
    run.advance()
    return [state[network] for state in (before, run.state()) for network in ("model", "ema_model")]


@pytest.mark.parametrize("chunk", [None, 3])
def test_workers_start_from_the_weights_of_the_first(
    task: Task, tmp_path: Path, chunk: int | None
) -> None:
    unseeded = of(task, "simclr", chunk, build_unseeded)
    first, second = on_workers(2, tmp_path, weights, unseeded)
    torch.testing.assert_close(second, first, rtol=0, atol=0)


def test_dropout_is_the_same_in_both_passes(task: Task) -> None:
    run, trainer, batches = begin(of(task, "supcon", 3, build_forgetful))
    batch, network = batches[0], run.model
    torch.manual_seed(5)
    loss = trainer.backward(batch)
    drawn = torch.rand(1)
    found = [loss, *gradients(run)]
    torch.manual_seed(5)
    parts = [
        network.features(images, covariates)
        for images, covariates in zip(batch.images.split(6), batch.covariates.split(6), strict=True)
    ]
    whole = trainer.contrast(network.embed(torch.cat(parts)), batch)
    whole.backward()
    assert torch.equal(torch.rand(1), drawn)
    assert_same([found], [[whole.detach(), *gradients(run)]], "dropout")


def test_no_forward_pass_is_larger_than_a_chunk(task: Task) -> None:
    run, trainer, batches = begin(of(task, "simclr", 5))
    seen: list[int] = []
    run.model.encoder.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    trainer.backward(batches[0])
    assert seen == 2 * [10, 10, 8]


def test_the_loss_is_scaled_for_half_precision(task: Task) -> None:
    run, trainer, batches = begin(of(task, "yaware", 5))
    trainer.backward(batches[0])
    plain = gradients(run)
    trainer.scaler.scale = lambda loss: 1024 * loss
    trainer.backward(batches[0])
    assert_same([[g / 1024 for g in gradients(run)]], [plain], "scaled")


def test_a_trial_in_chunks_is_the_trial(task: Task) -> None:
    histories = []
    for chunk in (None, 4):
        run = begin(of(task, "supremix", chunk))[0]
        histories.append([run.advance(), run.advance()])
    for whole, chunked in zip(*histories, strict=True):
        for name in ("error", "loss", "mae"):
            assert chunked[name] == pytest.approx(whole[name], rel=2e-3)


def test_only_contrastive_methods_have_something_to_cut(task: Task, store: Store) -> None:
    found = {
        name: cuts(dataclasses.replace(task, method=name), {}, store.card)
        for name in ("l1", "mse", "supremix", "rnc")
    }
    assert found == {"l1": False, "mse": False, "supremix": True, "rnc": True}


def test_what_chunks_would_change_or_not_touch_is_refused(task: Task) -> None:
    with pytest.raises(ConfigError, match=r"chunk=4 needs an encoder.*norm='batch' in resnet"):
        preflight(dataclasses.replace(task, method="supcon", chunk=4), {})
    with pytest.raises(ConfigError, match=r"found batch normalisation \(encoder\.1, one of 1"):
        begin(of(task, "supcon", 4, build_normed))
    with pytest.raises(ConfigError, match="cuts contrastive steps, and this method has none"):
        preflight(of(task, "l1", 4), {})
    with pytest.raises(TaskError, match="chunk must be at least 1, found 0"):
        dataclasses.replace(task, chunk=0)
    named = EncoderSpec(width=4, norm="group")
    assert preflight(dataclasses.replace(task, method="supcon", chunk=4, encoder=named), {})


def test_a_chunk_bounds_what_is_augmented_and_evaluated_at_once(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch whose augmentation does not fit the memory would not be trained for its chunks."""
    sizes: dict[str, list[int]] = {"augmented": [], "encoded": []}
    apply, features = Augmenter.apply, Network.features

    def counted_apply(self: Augmenter, images: Tensor, params: Any) -> Tensor:
        sizes["augmented"].append(len(images))
        return apply(self, images, params)

    def counted_features(self: Network, images: Tensor, covariates: Tensor) -> Tensor:
        sizes["encoded"].append(len(images))
        return features(self, images, covariates)

    monkeypatch.setattr(Augmenter, "apply", counted_apply)
    monkeypatch.setattr(Network, "features", counted_features)
    run = TrialRun(of(task, "supremix", 3), {"batch_size": BATCH}, device="cpu")
    run.advance()

    assert max(sizes["augmented"]) == max(sizes["encoded"]) == 6


def test_views_augmented_in_chunks_are_those_of_the_whole_batch(task: Task) -> None:
    whole = begin(of(task, "supremix", None))[2]
    parts = begin(of(task, "supremix", 3))[2]

    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one.images, other.images)
        assert torch.equal(one.covariates, other.covariates)

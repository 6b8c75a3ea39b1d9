from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import ndimage

from supremix_datasets import Augmentation, Augmenter, CardError, get

SHAPES = [(16, 24), (10, 12, 14)]
EVERYTHING = Augmentation(
    rotation_deg=30,
    translate=0.1,
    scale=0.1,
    flip_axes=(0, 1),
    gamma=0.2,
    gain=0.2,
    noise=0.05,
    bias_field=0.2,
    speckle=0.1,
)
ONE_EACH = [
    Augmentation(rotation_deg=30),
    Augmentation(translate=0.1),
    Augmentation(scale=0.1),
    Augmentation(flip_axes=(0,)),
    Augmentation(gamma=0.2),
    Augmentation(gain=0.2),
    Augmentation(noise=0.05),
    Augmentation(bias_field=0.2),
    Augmentation(speckle=0.1),
    EVERYTHING,
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(shape: Sequence[int], n: int = 4) -> torch.Tensor:
    return torch.rand(n, 1, *shape, generator=generator(1)) + 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_switched_on_changes_nothing(shape: tuple[int, ...]) -> None:
    augmenter = Augmenter(Augmentation(), shape)
    x = images(shape)
    torch.testing.assert_close(augmenter.apply(x, augmenter.draw(4, generator())), x)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("policy", ONE_EACH)
def test_a_batch_equals_its_images(policy: Augmentation, shape: tuple[int, ...]) -> None:
    augmenter = Augmenter(policy, shape)
    x, params = images(shape), augmenter.draw(4, generator())
    whole = augmenter.apply(x, params)
    assert whole.shape == x.shape
    assert whole.dtype == x.dtype
    assert not torch.allclose(whole, x)
    for i in range(4):
        rows = {name: values[i : i + 1] for name, values in params.items()}
        torch.testing.assert_close(augmenter.apply(x[i : i + 1], rows)[0], whole[i])


def test_draws_repeat_and_what_is_on_does_not_shift_them() -> None:
    one = Augmenter(EVERYTHING, (16, 24)).draw(3, generator())
    two = Augmenter(EVERYTHING, (16, 24)).draw(3, generator())
    for name in one:
        assert torch.equal(one[name], two[name])
        assert len(one[name]) == 3
    only = Augmenter(Augmentation(gain=0.2), (16, 24)).draw(3, generator())
    assert torch.equal(one["gain"], only["gain"])


@pytest.mark.parametrize("shape", SHAPES)
def test_flips_are_exact(shape: tuple[int, ...]) -> None:
    for axis in range(len(shape)):
        augmenter = Augmenter(Augmentation(flip_axes=(axis,)), shape)
        x, params = images(shape, 16), augmenter.draw(16, generator())
        out = augmenter.apply(x, params)
        flipped = params["matrix"][:, axis, axis] < 0
        assert 0 < flipped.sum() < 16
        wanted = torch.where(flipped.reshape(-1, *[1] * (x.ndim - 1)), x.flip(axis + 2), x)
        torch.testing.assert_close(out, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_rotation_and_shift_agree_with_scipy(shape: tuple[int, ...]) -> None:
    policy = Augmentation(rotation_deg=40, translate=0.2, scale=0.2, flip_axes=(1,))
    augmenter = Augmenter(policy, shape)
    x, params = images(shape), augmenter.draw(4, generator())
    out = augmenter.apply(x, params)
    centre = (np.array(shape) - 1) / 2
    for i in range(4):
        matrix, shift = params["matrix"][i].double().numpy(), params["shift"][i].double().numpy()
        offset = centre - matrix @ centre + shift
        wanted = ndimage.affine_transform(
            np.pad(x[i, 0].numpy(), 20),
            matrix,
            offset + 20 - matrix @ np.full(len(shape), 20.0),
            order=1,
        )[(slice(20, -20),) * len(shape)]
        np.testing.assert_allclose(out[i, 0].numpy(), wanted, atol=2e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_rotations_keep_lengths(shape: tuple[int, ...]) -> None:
    matrix = Augmenter(Augmentation(rotation_deg=90), shape).draw(50, generator())["matrix"]
    eye = torch.eye(len(shape)).expand_as(matrix)
    torch.testing.assert_close(matrix @ matrix.transpose(1, 2), eye, atol=1e-5, rtol=1e-5)


def test_what_moves_in_from_outside_is_the_fill() -> None:
    augmenter = Augmenter(Augmentation(translate=0.5), (16, 24), fill=-0.7)
    params = augmenter.draw(1, generator())
    params["shift"] = torch.tensor([[20.0, 0.0]])
    out = augmenter.apply(images((16, 24), 1), params)
    torch.testing.assert_close(out, torch.full_like(out, -0.7))


def test_brightness_acts_about_the_fill() -> None:
    x = torch.full((2, 1, 16, 24), -0.7)
    augmenter = Augmenter(Augmentation(gain=0.5, gamma=0.5, bias_field=0.5), (16, 24), fill=-0.7)
    torch.testing.assert_close(augmenter.apply(x, augmenter.draw(2, generator())), x)


def test_full_scale_stays_under_the_grey_curve() -> None:
    x = torch.full((2, 1, 16, 24), 3.0)
    augmenter = Augmenter(Augmentation(gamma=0.5), (16, 24), white=3.0)
    torch.testing.assert_close(augmenter.apply(x, augmenter.draw(2, generator())), x)


def test_noise_has_the_strength_that_is_asked_for() -> None:
    x = torch.zeros(8, 1, 64, 64)
    augmenter = Augmenter(Augmentation(noise=0.1), (64, 64), white=2.0)
    out = augmenter.apply(x, augmenter.draw(8, generator()))
    assert float(out.std()) == pytest.approx(0.2, rel=0.02)
    assert abs(float(torch.corrcoef(out.flatten(1))[0, 1])) < 0.06


def test_half_precision_comes_back_as_it_went_in() -> None:
    augmenter = Augmenter(EVERYTHING, (16, 24))
    x = images((16, 24)).bfloat16()
    assert augmenter.apply(x, augmenter.draw(4, generator())).dtype == torch.bfloat16


def test_of_a_card() -> None:
    augmenter = Augmenter.of(get("ukb-t1").card_for(phantom=True))
    assert augmenter.shape == (30, 36, 30)
    assert augmenter.fill == 0
    assert augmenter.white == pytest.approx(200 / 80)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CardError, match="flips among them"):
        Augmenter(Augmentation(flip_axes=(2,)), (16, 24))
    with pytest.raises(CardError, match="white must be positive"):
        Augmenter(Augmentation(), (16, 24), white=0.0)

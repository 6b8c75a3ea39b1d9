from __future__ import annotations

import pytest
import torch

from supremix._errors import ModelError
from supremix.models import FUSIONS, EncoderSpec, Network, ProjectionHead


def make(fusion: str = "concat", covariates: int = 2, projection: int | None = 6) -> Network:
    torch.manual_seed(0)
    return Network(
        EncoderSpec(width=4),
        channels=1,
        shape=(16, 24),
        covariates=covariates,
        projection_dim=projection,
        fusion=fusion,
    )


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("covariates", [0, 2])
def test_features_embedding_and_prediction_have_their_shapes(fusion: str, covariates: int) -> None:
    network = make(fusion, covariates)
    images, known = torch.rand(3, 1, 16, 24), torch.rand(3, covariates)
    assert network.features(images, known).shape == (3, 32 + covariates) == (3, network.width)
    assert network.project(images, known).shape == (3, 6)
    assert network(images, known, True).shape == (3, 6)
    assert network(images, known).shape == (3,)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_covariates_reach_both_heads(fusion: str) -> None:
    network = make(fusion).eval()
    network.head.set_solution(torch.ones(network.width), torch.zeros(()))
    images = torch.rand(2, 1, 16, 24)
    here, there = torch.zeros(2, 2), torch.ones(2, 2)
    assert not torch.equal(network.project(images, here), network.project(images, there))
    assert not torch.equal(network.regress(images, here), network.regress(images, there))


def test_a_fresh_head_predicts_the_mean() -> None:
    prediction = make().regress(torch.rand(3, 1, 16, 24), torch.rand(3, 2))
    assert prediction.tolist() == [0, 0, 0]


def test_a_solution_in_the_head_is_what_it_computes() -> None:
    network, features = make(), torch.rand(5, 34)
    weight, bias = torch.rand(34, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    network.head.set_solution(weight, bias)
    expected = (features.double() @ weight + bias).float()
    torch.testing.assert_close(network.head(features), expected)


def test_gradients_reach_only_the_head_in_use() -> None:
    network = make()
    network.train_for(project=True, regress=False)
    assert {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad} == {
        "encoder",
        "projection",
    }
    network.train_for(project=False, regress=True)
    assert {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad} == {
        "encoder",
        "head",
    }


def test_the_projection_is_the_papers() -> None:
    kinds = [type(layer).__name__ for layer in ProjectionHead(8, 4)]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"]


def test_without_a_projection_the_features_are_the_embedding() -> None:
    network = make(projection=None).eval()
    images, known = torch.rand(2, 1, 16, 24), torch.rand(2, 2)
    assert torch.equal(network.project(images, known), network.features(images, known))


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ModelError, match="one of concat, mlp, film"):
        make("sum")

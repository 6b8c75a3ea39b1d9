from __future__ import annotations

import json

import pytest
import torch
from own_encoder import build_flat
from torch import nn

from supremix._choices import ENCODER_FAMILIES
from supremix._errors import ModelError
from supremix.models import EncoderSpec, UnknownEncoderError, build_encoder, encoder_names
from supremix.models import feature_width as width_of
from supremix.models.own_encoder import cannot_be_imported

SHAPES = {2: (32, 48), 3: (32, 32, 40)}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ENCODER_FAMILIES)
def test_every_family_gives_features_in_two_and_three_dimensions(name: str, dims: int) -> None:
    encoder = build_encoder(EncoderSpec(name=name, width=8), dims, 2)
    features = encoder(torch.rand(2, 2, *SHAPES[dims]))
    assert features.shape == (2, width_of(encoder, 2, SHAPES[dims]))
    assert torch.isfinite(features).all()


def test_resnet_has_four_stages_of_one_basic_block_and_a_strided_stem() -> None:
    encoder = build_encoder(EncoderSpec(width=16), 2, 1)
    assert width_of(encoder, 1, (64, 64)) == 128
    assert [len(stage) for stage in (encoder.layer1, encoder.layer4)] == [1, 1]
    assert encoder.conv1.stride == (2, 2)


@pytest.mark.parametrize("name", ["resnet", "densenet", "efficientnet"])
def test_depth_and_width_make_a_network_larger(name: str) -> None:
    def size(depth: int, width: int) -> int:
        encoder = build_encoder(EncoderSpec(name=name, depth=depth, width=width), 2, 1)
        return sum(p.numel() for p in encoder.parameters())

    assert size(1, 8) < size(2, 8)
    assert size(1, 8) < size(1, 16)


def test_depth_can_be_given_stage_by_stage() -> None:
    encoder = build_encoder(EncoderSpec(depth=(1, 2, 3, 1), width=4), 2, 1)
    assert [len(encoder.get_submodule(f"layer{i}")) for i in (1, 2, 3, 4)] == [1, 2, 3, 1]
    with pytest.raises(ModelError, match=r"has 4 stages.*found \(1, 2\)"):
        build_encoder(EncoderSpec(depth=(1, 2)), 2, 1)
    with pytest.raises(ModelError, match="one depth"):
        build_encoder(EncoderSpec(name="efficientnet", depth=(1, 2)), 2, 1)


@pytest.mark.parametrize("name", ENCODER_FAMILIES)
@pytest.mark.parametrize("norm", ["group", "instance"])
def test_other_norms_leave_no_batch_norm_and_treat_images_alone(name: str, norm: str) -> None:
    encoder = build_encoder(EncoderSpec(name=name, width=8, norm=norm), 2, 1)
    assert not [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    # In float64: a norm over a few pixels magnifies what float32 rounds differently in a batch.
    encoder, images = encoder.double(), torch.rand(3, 1, 80, 80, dtype=torch.float64)
    together = encoder(images)
    alone = torch.cat([encoder(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-8, atol=1e-10)


def build_nothing(spatial_dims: int, channels: int) -> nn.Module:
    return "a network"  # type: ignore[return-value]


def test_a_builder_of_the_users_own() -> None:
    encoder = build_encoder(EncoderSpec(builder=build_flat), 2, 1)
    assert width_of(encoder, 1, (4, 4)) == 10
    with pytest.raises(ModelError, match=r"must return a torch.nn.Module.*returned str"):
        build_encoder(EncoderSpec(builder=build_nothing), 2, 1)


def test_an_encoder_that_is_not_pooled_is_refused() -> None:
    with pytest.raises(ModelError, match=r"shape \(B, F\), this one returned .*\(2, 1, 4, 4\)"):
        width_of(nn.Identity(), 1, (4, 4))


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownEncoderError, match=r"there are: densenet.*Did you mean 'resnet'"):
        EncoderSpec(name="resnt")
    with pytest.raises(UnknownEncoderError, match="there are: batch, group, instance"):
        EncoderSpec(norm="layer")
    with pytest.raises(ModelError, match="positive whole numbers"):
        EncoderSpec(width=0)


def test_specs_survive_json() -> None:
    spec = EncoderSpec(name="densenet", depth=(1, 2, 2, 1), width=8, norm="group")
    assert EncoderSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    own = EncoderSpec(builder=build_flat)
    assert EncoderSpec.from_dict(own.to_dict(), builder=build_flat) == own
    assert EncoderSpec.from_dict(own.to_dict()) == own
    assert own.to_dict()["builder"] == "own_encoder:build_flat"


# Parameters without the classifier, as torchvision (resnet, densenet) and EfficientNet-PyTorch
# count them; a ResNet of MONAI's also has biases in its shortcuts.
PUBLISHED = {
    "resnet18": 11_176_512 + 896,
    "resnet34": 21_284_672 + 896,
    "resnet50": 23_508_032 + 3840,
    "densenet121": 6_953_856,
    "densenet169": 12_484_480,
    "efficientnet-b0": 4_007_548,
    "efficientnet-b3": 10_696_232,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_by_its_usual_name_has_the_published_size(name: str) -> None:
    with torch.device("meta"):
        encoder = build_encoder(EncoderSpec(name=name), 2, 3)
    assert sum(p.numel() for p in encoder.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", sorted(set(encoder_names()) - set(ENCODER_FAMILIES)))
def test_a_name_fixes_the_depth_and_the_width_can_be_given(name: str) -> None:
    spec = EncoderSpec(name=name)
    assert EncoderSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec.width in (32, 40, 48, 56, 64)
    with torch.device("meta"):
        whole, small = (
            sum(p.numel() for p in build_encoder(one, 2, 1).parameters())
            for one in (spec, EncoderSpec(name=name, width=8))
        )
    assert small < whole / 4
    with pytest.raises(ModelError, match="has its depth in its name, found depth=2"):
        EncoderSpec(name=name, depth=2)


def test_a_shortcut_without_parameters_subsamples_and_pads() -> None:
    encoder = build_encoder(EncoderSpec(name="resnet18", width=4, shortcut="A"), 3, 1)
    assert not [name for name, _ in encoder.named_parameters() if "downsample" in name]
    maps = torch.rand(2, 4, 4, 6, 5, requires_grad=True)
    shortcut = encoder.layer2[0].downsample(maps)
    assert torch.equal(shortcut[:, :4], maps[:, :, ::2, ::2, ::2])
    assert not shortcut[:, 4:].any()
    shortcut.sum().backward()
    assert maps.grad is not None
    with pytest.raises(ModelError, match="only a ResNet has a shortcut"):
        EncoderSpec(name="densenet121", shortcut="A")


def test_who_cannot_be_imported_is_named_with_what_to_do() -> None:
    def inside(spatial_dims: int, channels: int) -> nn.Module:
        return build_flat(spatial_dims, channels)

    assert cannot_be_imported(build_flat) is None
    for builder in (inside, lambda dims, _: build_flat(dims, 1)):
        problem = cannot_be_imported(builder)
        assert problem is not None
        assert "defined inside of a function" in problem
        assert "Put it into a module of its own" in problem
    script = type("Net", (nn.Module,), {"__module__": "__main__"})
    assert "(__main__)" in str(cannot_be_imported(script))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere_at_all:build", "Install the package with the module 'nowhere_at_all'"),
        ("own_encoder:nothing", "has no attribute 'nothing'"),
        ("own_encoder:NOTHING", "has to be a callable.*found int"),
    ],
)
def test_a_builder_that_is_not_there_is_refused(path: str, message: str) -> None:
    plain = EncoderSpec(builder=build_flat).to_dict() | {"builder": path}
    with pytest.raises(ModelError, match=message):
        EncoderSpec.from_dict(plain)

"""The network of a trial: encoder, covariates, projection and regression head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from supremix._errors import ModelError
from supremix.models.encoders import EncoderSpec, build_encoder, feature_width
from supremix.models.heads import BinnedHead, ProjectionHead, RegressionHead
from supremix.models.normalising import exact
from supremix.models.norms import norms_of
from supremix.models.stages import encoder_stages, stage_of

FUSIONS = ("concat", "mlp", "film")


class Network(nn.Module):
    """An encoder whose features are joined with the covariates, and two heads on the result.

    Both heads, and the ridge probe, see the same joined features, so that what a covariate says
    (the pixel size of an ultrasound image, say) is known to the embedding as well.

    Args:
        spec: the encoder.
        channels: C of the images.
        shape: spatial shape of the images, 2 or 3 numbers.
        covariates: K, the number of covariates; 0 for none.
        projection_dim: width of the embedding; None builds no projection head, and the joined
            features are the embedding.
        fusion: how the covariates join. "concat": features and covariates side by side, (B, F+K).
            "mlp": these through one hidden layer of width F, with the covariates beside it again,
            so that products of the two can be learned, (B, F+K). "film": the covariates scale and
            shift the features, f * (1 + Ac) + Bc (Perez 2018), and stand beside them, (B, F+K).
            Without covariates all three are the encoder's features.
        bins: K label bins of the regression head, see `BinnedHead`; None for a linear head.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        *,
        channels: int,
        shape: Sequence[int],
        covariates: int = 0,
        projection_dim: int | None = None,
        fusion: str = "concat",
        bins: int | None = None,
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ModelError(f"fusion must be one of {', '.join(FUSIONS)}, found {fusion!r}")
        self.encoder = build_encoder(spec, len(shape), channels)
        width = feature_width(self.encoder, channels, shape)
        self.fusion = _fusion(fusion, width, covariates)
        self.width = width + covariates
        self.projection = (
            None if projection_dim is None else ProjectionHead(self.width, projection_dim)
        )
        self._frozen_norms = False
        self._frozen_modules: list[str] = []
        self._frozen: list[nn.Parameter] = []
        self.head = RegressionHead(self.width) if bins is None else BinnedHead(self.width, bins)

    def features(self, images: Tensor, covariates: Tensor) -> Tensor:
        """(B, C, *shape) and standardised covariates (B, K) -> joined features (B, F+K)."""
        return self.fusion(exact(self.encode(images)), covariates)

    def encode(self, images: Tensor) -> Tensor:
        """The encoder's features of images, (B, F); a compiled network has another in its place."""
        return self.encoder(images)

    def project(self, images: Tensor, covariates: Tensor) -> Tensor:
        """Embeddings (B, D), not normalised."""
        return self.embed(self.features(images, covariates))

    def embed(self, features: Tensor) -> Tensor:
        """Joined features (B, F+K) -> embeddings (B, D), in full precision as all heads."""
        if self.projection is None:
            return features
        with torch.autocast(device_type=features.device.type, enabled=False):
            return self.projection(features)

    def regress(self, images: Tensor, covariates: Tensor) -> Tensor:
        """Standardised predictions (B,)."""
        features = self.features(images, covariates)
        with torch.autocast(device_type=features.device.type, enabled=False):
            return self.head(features)

    def forward(
        self, images: Tensor, covariates: Tensor, project: bool = False, head: bool = True
    ) -> Tensor:
        """`project`, `regress` or, without a head, `features`.

        One entry for all, because data-parallel wrappers know only this one.
        """
        if not head:
            return self.features(images, covariates)
        return self.project(images, covariates) if project else self.regress(images, covariates)

    def train_for(
        self, *, project: bool, regress: bool, frozen_norms: bool = False, freeze: int = 0
    ) -> None:
        """Let gradients reach the encoder, and only those heads that take part in a training.

        With `frozen_norms` the encoder's normalisations keep their affine parameters, and running
        statistics where they have some, by which they then normalise in training too. The first
        `freeze` stages of the encoder stay as they are, and in evaluation.
        """
        self.head.requires_grad_(regress)
        if self.projection is not None:
            self.projection.requires_grad_(project)
        self._frozen_norms = frozen_norms
        for parameter in self._frozen:
            parameter.requires_grad_(True)
        for norm in norms_of(self.encoder):
            norm.requires_grad_(not frozen_norms)
        stages = encoder_stages(self.encoder)
        self._frozen_modules = [name for stage in stages[:freeze] for name in stage]
        self._frozen = [
            parameter
            for name, parameter in self.encoder.named_parameters()
            if (stage_of(name, stages) or 0) < freeze and parameter.requires_grad
        ]
        for parameter in self._frozen:
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Change between training and evaluation; frozen normalisations stay in evaluation."""
        super().train(mode)
        if self._frozen_norms:
            for norm in norms_of(self.encoder):
                norm.eval()
        for name in self._frozen_modules:
            self.encoder.get_submodule(name).eval()
        return self


class Concat(nn.Module):
    """Features and covariates side by side."""

    def forward(self, features: Tensor, covariates: Tensor) -> Tensor:
        """(B, F) and (B, K) -> (B, F+K)."""
        return torch.cat([features, covariates], dim=1)


class Mlp(nn.Module):
    """One hidden layer on features and covariates, and the covariates beside it."""

    def __init__(self, width: int, covariates: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width + covariates, width)

    def forward(self, features: Tensor, covariates: Tensor) -> Tensor:
        """(B, F) and (B, K) -> (B, F+K)."""
        hidden = torch.relu(self.hidden(torch.cat([features, covariates], dim=1)))
        return torch.cat([hidden, covariates], dim=1)


class Film(nn.Module):
    """f * (1 + Ac) + Bc, A and B zero at the start (Perez 2018), and the covariates beside it."""

    def __init__(self, width: int, covariates: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(covariates, 2 * width, bias=False)
        nn.init.zeros_(self.modulation.weight)

    def forward(self, features: Tensor, covariates: Tensor) -> Tensor:
        """(B, F) and (B, K) -> (B, F+K)."""
        scale, shift = self.modulation(covariates).chunk(2, dim=1)
        return torch.cat([features * (1 + scale) + shift, covariates], dim=1)


def _fusion(name: str, width: int, covariates: int) -> nn.Module:
    if covariates == 0 or name == "concat":
        return Concat()
    return Mlp(width, covariates) if name == "mlp" else Film(width, covariates)

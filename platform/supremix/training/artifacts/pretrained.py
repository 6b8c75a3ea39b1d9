"""Transfer: a trial whose encoder starts from that of a trained model, or from others' weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, cast

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from upath import UPath

from supremix._choices import ENCODER_FAMILIES
from supremix._errors import ModelError, TaskError
from supremix.models import EncoderSpec
from supremix.storage.paths import Address, read_bytes, to_path
from supremix.storage.retry import failures
from supremix.training.artifacts.format import DESCRIPTION, FORMAT, WEIGHTS
from supremix_datasets.cards.card import Card

ENCODER = "encoder."
"""Beginning of the names of the encoder's tensors in the file of a model."""


def model_folder(folder: Address) -> UPath:
    """The folder of a model: as given, or that of the best model in a run folder."""
    path = to_path(folder)
    return path / "best" if (path / "best").is_dir() else path


def read_description(folder: UPath) -> dict[str, Any]:
    """Read the description of a model.

    Raises:
        OSError: Or another of `retry.failures`: there is none, or it cannot be read.
        ValueError: It is damaged or of another version; the text says which.
    """
    try:
        content = json.loads(read_bytes(folder / DESCRIPTION))
    except ValueError as error:
        raise ValueError(f"{DESCRIPTION} is not JSON") from error
    if not isinstance(content, dict) or cast(Any, content).get("format") != FORMAT:
        raise ValueError(f"{DESCRIPTION} is not of format {FORMAT}")
    return cast("dict[str, Any]", content)


@dataclass(frozen=True, kw_only=True, slots=True)
class Initial:
    """The encoder of an exported model, or what a file of weights has of one.

    Attributes:
        folder: Folder of the model.
        encoder: `EncoderSpec.to_dict()` of it.
        dimensions: Spatial dimensions of its images, 2 or 3.
        channels: Channels of its images.
        dataset: Dataset that the model was trained on.
        digest: SHA-256 of its weights' file.
        keys: Where they are of a file of others, its names that fitted and those that did not, see
            `foreign_weights`; None for a model of ours, which has all.
    """

    folder: UPath
    encoder: dict[str, Any]
    dimensions: int
    channels: int
    dataset: str
    digest: str
    keys: dict[str, Any] | None = None

    @classmethod
    def read(cls, folder: Address) -> Initial:
        """Read the description of a model.

        Raises:
            TaskError: there is no model in the folder, or one of another version.
        """
        path = to_path(folder)
        try:
            description = read_description(path)
            digest = hashlib.sha256(read_bytes(path / WEIGHTS)).hexdigest()
        except FileNotFoundError as error:
            raise TaskError(
                f"no model to start from in {str(path)!r}: expected a file of weights "
                f"(.safetensors, .pt, .pth, .bin, .tar), or a folder with {DESCRIPTION} and "
                f"{WEIGHTS}, of a concluded search or a model; there is none"
            ) from error
        except (ValueError, *failures()) as error:
            raise TaskError(
                f"no model to start from in {str(path)!r}: expected {DESCRIPTION} and {WEIGHTS} "
                f"there ({error}); name the run folder of a concluded search, a model's "
                "folder, or a file of weights (.safetensors, .pt, .pth, .bin, .tar)"
            ) from error
        card = description["card"]
        return cls(
            folder=path,
            encoder=description["encoder"],
            dimensions=len(card["shape"]),
            channels=card["channels"],
            dataset=description.get("dataset", card["name"]),
            digest=digest,
            keys=description.get("keys"),
        )

    def facts(self) -> dict[str, Any]:
        """Hash of the weights, their dataset or file, and the names in it, as plain values."""
        keys = self.keys or {}
        named = {n: v for n, v in keys.items() if n != "matched"}
        counted = {"matched": len(keys["matched"])} if keys else {}
        return {"weights": self.digest, "of": self.dataset, **named, **counted}

    def check(self, spec: EncoderSpec, card: Card) -> None:
        """Raise where the encoder is another than a trial's on the card's images would be.

        Raises:
            TaskError: it is; the message names both.
        """
        theirs = encoder_words(self.encoder, self.dimensions, self.channels)
        ours = encoder_words(spec.to_dict(), len(card.shape), card.channels)
        if theirs != ours:
            raise TaskError(
                f"the model in {str(self.folder)!r}, of {self.dataset}, has {theirs}; a trial on "
                f"{card.name} would have {ours}. Take the model's encoder, width and depth, and "
                "images of its dimensions and channels"
            )

    def load_into(self, encoder: nn.Module) -> None:
        """Put the weights, and the statistics of its norms, into an encoder of the same make.

        Raises:
            ModelError: they do not fit.
        """
        try:
            weights = self._weights()
            if self.keys is not None:
                weights = {**encoder.state_dict(), **weights}
            encoder.load_state_dict(weights)
        except (SafetensorError, RuntimeError, *failures()) as error:
            raise ModelError(
                f"the encoder of the model in {str(self.folder)!r}, of {self.dataset}, does not "
                f"fit the trial's: {error}"
            ) from error

    def _weights(self) -> dict[str, Tensor]:
        found = load(read_bytes(self.folder / WEIGHTS))
        return {n.removeprefix(ENCODER): t for n, t in found.items() if n.startswith(ENCODER)}


def encoder_words(encoder: dict[str, Any], dimensions: int, channels: int) -> str:
    """An encoder in words that differ where encoders do."""
    depth, builder = encoder["depth"], encoder.get("builder")
    if encoder["name"] in ENCODER_FAMILIES:  # others have their depth in their name
        deep = f", depth {depth if isinstance(depth, int) else list(depth)}"
    else:
        deep = ""
    kind = (
        f"an encoder built by {builder!r}"
        if builder is not None
        else f"a {encoder['name']} of width {encoder['width']}{deep}, norm {encoder['norm']}"
        + (", shortcut A" if encoder.get("shortcut") == "A" else "")
    )
    return f"{kind}, for {dimensions}-D images of {channels} channel{'s' * (channels != 1)}"

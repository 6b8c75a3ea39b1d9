"""The dataset card: the constant facts of one dataset, and nothing that depends on a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.covariate import Covariate
from supremix_datasets.errors import CardError

DTYPES = ("uint8", "float16")
INTENSITIES = ("stored", "foreground", "range")
TRANSFORMS = ("none", "log")
FOREGROUND_LEVEL = {"uint8": 200.0, "float16": 1.0}
"""Where the 99th percentile of the foreground lands with ``intensity="foreground"``."""
FULL_SCALE = {"uint8": 255.0, "float16": 1.0}
"""Where the 99th percentile of all values lands with ``intensity="range"``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """The constant facts of one dataset.

    Args:
        name: Short name (``hc18``), of letters, digits, ``-`` and ``_``.
        title: One line that users read.
        modality: Kind of imaging, such as MRI.
        target: Name of the quantity that is predicted.
        unit: Unit of the target; every error is reported in it.
        label_bin: Two labels within one bin of this width count as equal (0: exact equality).
        label_scale: Distance of labels that counts as one in the losses' weights. ``> 0``.
        window: Half-width of the label window of the mixtures. ``> 0``.
        label_range: Lowest and highest label that is possible; others are excluded.
        target_transform: ``log`` where the target is better fitted as its logarithm: a length
            that is pixels times pixel size becomes a sum of the two. ``none`` otherwise. Errors
            are in ``unit`` either way, and the losses' label distances too.
        shape: Spatial shape of the prepared images, 2 or 3 axes; of a video (frames, H, W) of
            the clips that the model sees.
        period: For videos only: a clip takes each period-th frame of the video. ``>= 1``. The
            store keeps all frames; training draws clips, evaluation averages over clips that cover
            the video.
        channels: Number of channels.
        sequences: Names of the channels where each is a file of its own, such as the sequences of
            an MRI; each then has a scale of grey values of its own. Empty for images of one file.
        spacing: Size of a prepared pixel in mm per axis; None: images are fitted into ``shape``
            with their aspect kept, for any physical size.
        covariates: Numbers and categories that go into the model with the image.
        dtype: ``uint8`` or ``float16``, how images are stored.
        intensity: ``stored``: grey values mean the same in all files and are kept;
            ``foreground``: they do not (MRI), so the 99th percentile of the values above zero
            becomes 200 (uint8) or 1 (float16); ``range``: exposure differs between files (X-ray),
            so the 1st to 99th percentile of the file becomes the full scale, 0 to 255 or 0 to 1.
        fill: Grey value outside an image.
        offset: Grey value that becomes 0: the model's input is ``(stored - offset) * gain``.
        gain: Factor of the model's input, see ``offset``; not 0.
        augmentation: Changes of an image that leave its label as it is.
        licence: Terms of the data, in words.
        home: Address of the data's home page.

    Raises:
        CardError: a value is not legal; the message names it.
    """

    name: str
    title: str
    modality: str
    target: str
    unit: str
    label_bin: float
    label_scale: float
    window: float
    label_range: tuple[float, float]
    shape: tuple[int, ...]
    channels: int = 1
    sequences: tuple[str, ...] = ()
    spacing: tuple[float, ...] | None = None
    period: int | None = None
    covariates: tuple[Covariate, ...] = ()
    dtype: str = "uint8"
    intensity: str = "stored"
    fill: float = 0.0
    offset: float = 0.0
    gain: float = 1.0
    target_transform: str = "none"
    augmentation: Augmentation = field(default_factory=Augmentation)
    licence: str = ""
    home: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "covariates", tuple(self.covariates))
        object.__setattr__(self, "sequences", tuple(self.sequences))
        if self.spacing is not None:
            object.__setattr__(self, "spacing", tuple(float(s) for s in self.spacing))
        low, high = (float(v) for v in self.label_range)
        object.__setattr__(self, "label_range", (low, high))
        for broken, rule in self._rules(low, high):
            if broken:
                raise CardError(f"card {self.name!r}: {rule}")

    def _rules(self, low: float, high: float) -> list[tuple[bool, str]]:
        names = [covariate.name for covariate in self.covariates]
        plain = self.name.replace("-", "").replace("_", "")
        spacing = self.spacing
        return [
            (not (plain.isascii() and plain.isalnum()), "name must be letters, digits, - and _"),
            (not low < high, f"label_range must be (low, high), found {self.label_range}"),
            (not self.label_bin >= 0, f"label_bin must be >= 0, found {self.label_bin}"),
            (not self.label_scale > 0, f"label_scale must be > 0, found {self.label_scale}"),
            (not self.window > 0, f"window must be > 0, found {self.window}"),
            (len(self.shape) not in (2, 3), f"shape must have 2 or 3 axes, found {self.shape}"),
            (min(self.shape, default=0) < 8, f"each axis of shape must be >= 8: {self.shape}"),
            (self.channels < 1, f"channels must be >= 1, found {self.channels}"),
            (
                len(self.sequences) not in (0, self.channels),
                f"channels must be the number of files of an image, {len(self.sequences)} "
                f"({', '.join(self.sequences)}), found {self.channels}",
            ),
            (
                len(set(self.sequences)) != len(self.sequences),
                f"sequences have the same name: {self.sequences}",
            ),
            (
                spacing is not None and (len(spacing) != len(self.shape) or min(spacing) <= 0),
                f"spacing must be a positive number for each axis of {self.shape}, found {spacing}",
            ),
            (len(set(names)) != len(names), f"covariates have the same name: {names}"),
            *self._video_rules(),
            (self.dtype not in DTYPES, f"dtype must be one of {DTYPES}, found {self.dtype!r}"),
            (self.intensity not in INTENSITIES, f"intensity must be one of {INTENSITIES}"),
            (self.gain == 0, "gain must not be 0"),
            (
                self.target_transform not in TRANSFORMS,
                f"target_transform must be one of {TRANSFORMS}, found {self.target_transform!r}",
            ),
            (
                self.target_transform == "log" and low <= 0,
                f"target_transform 'log' needs labels above 0, found label_range ({low}, {high})",
            ),
            (
                any(axis >= len(self.shape) for axis in self.augmentation.flip_axes),
                f"flip_axes {self.augmentation.flip_axes} are not all axes of {self.shape}",
            ),
        ]

    def _video_rules(self) -> list[tuple[bool, str]]:
        if self.period is None:
            return []
        return [
            (self.period < 1, f"period must be >= 1, found {self.period}"),
            (len(self.shape) != 3, f"a video needs shape (frames, H, W), found {self.shape}"),
            (self.spacing is not None, "a video has no spacing; leave it None"),
            (len(self.sequences) > 1, "a video is one file"),
            (
                0 in self.augmentation.flip_axes,
                "flip_axes of a video must not hold axis 0, which is time",
            ),
        ]

    @property
    def imaging(self) -> str:
        """The modality, with the files of an image where it has several: ``MRI (T1w, FLAIR)``."""
        several = f" ({', '.join(self.sequences)})" if len(self.sequences) > 1 else ""
        return self.modality + several

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Spatial shape of what is resampled as a whole: of an image, or of one video frame."""
        return self.shape if self.period is None else self.shape[1:]

    def with_shape(
        self, shape: Sequence[int] | None = None, spacing: Sequence[float] | None = None
    ) -> Card:
        """The same card on another grid; None keeps the card's own value.

        A new shape on a card with a spacing keeps the field of view: the spacing follows from it
        unless it is given too; likewise a new spacing alone gives the shape.

        Raises:
            CardError: the shape or spacing has the wrong number of axes.
        """
        for given in (shape, spacing):
            if given is not None and len(given) != len(self.shape):
                raise CardError(
                    f"card {self.name!r} has {len(self.shape)} spatial axes; give as many "
                    f"numbers for shape and spacing, found {tuple(given)}"
                )
        if shape is not None and spacing is None and self.spacing is not None:
            view = [n * s for n, s in zip(self.shape, self.spacing, strict=True)]
            spacing = [extent / n for extent, n in zip(view, shape, strict=True)]
        if spacing is not None and shape is None and self.spacing is not None:
            view = [n * s for n, s in zip(self.shape, self.spacing, strict=True)]
            shape = [round(extent / s) for extent, s in zip(view, spacing, strict=True)]
        return dataclasses.replace(
            self,
            shape=self.shape if shape is None else tuple(shape),
            spacing=self.spacing if spacing is None else tuple(spacing),
        )

    def to_dict(self) -> dict[str, Any]:
        """The card as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Card:
        """The card that :meth:`to_dict` was taken of.

        Raises:
            CardError: the values are not those of a card of this version.
        """
        try:
            plain: dict[str, Any] = {
                **data,
                "covariates": tuple(Covariate(**c) for c in data["covariates"]),
                "augmentation": Augmentation.from_dict(data["augmentation"]),
            }
            return cls(**plain)
        except (TypeError, KeyError) as error:
            raise CardError(
                f"these values do not make a card: {error}. They were probably written by another "
                "version; prepare the dataset again."
            ) from error

"""A trained model, loaded from two files without executing anything, and its predictions."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor
from upath import UPath

from supremix._display import Displayed
from supremix._errors import ModelError, ModelInputError
from supremix.models import EncoderBuilder, EncoderSpec, Network
from supremix.storage.paths import Address, read_bytes, to_path
from supremix.storage.retry import failures
from supremix.training.artifacts.calibrated import Calibrating
from supremix.training.artifacts.cohort import BATCH, VECTORS, Steps, predict_items
from supremix.training.artifacts.ensemble import EnsemblePredictor, pooled_facts
from supremix.training.artifacts.format import (
    CALIBRATION,
    DESCRIPTION,
    REFERENCE,
    WEIGHTS,
)
from supremix.training.artifacts.inference import Predictor
from supremix.training.artifacts.pretrained import read_description
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Dataset, Reader
from supremix_datasets.errors import CovariateError
from supremix_datasets.own_objects import is_import_path
from supremix_datasets.readers.own_table.cohort import list_cohort
from supremix_datasets.registry import get, names
from supremix_datasets.sources.files import PART
from supremix_datasets.stores.conform import covariate_vector, present
from supremix_reports.statistics.conformal.calibration import SPREAD, Calibration, StatisticsError
from supremix_reports.statistics.conformal.choices import BiasCorrection, IntervalMethod

File = str | os.PathLike[str]
Image = File | NDArray[Any] | tuple[File, ...]


class TrainedModel(Displayed):
    """A network with all that belongs to it; `load` it from what `TrialRun.export` wrote.

    Attributes:
        card: the dataset it was trained on: target, unit, covariates, grid.
        description: everything `model.json` says.
        predictor: predicts images that are on the card's grid.
        calibration: predictions on patients that no network was trained on, as they calibrate this
            model; None for one that no search left behind.
        kept: the same as they are kept, of all networks.
    """

    def __init__(
        self,
        description: dict[str, Any],
        network: Network,
        *,
        reference: dict[str, Tensor],
        reader: Reader | None = None,
        calibration: Calibration | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.description = description
        self.card = Card.from_dict(description["card"])
        self._reader = reader
        self.predictor = Predictor(description, network, reference, device)
        self.kept = calibration
        self.calibration = None if calibration is None else calibration.of_one()

    @classmethod
    def load(
        cls,
        path: Address,
        *,
        builder: EncoderBuilder | None = None,
        dataset: Dataset | None = None,
        device: torch.device | str = "cpu",
    ) -> TrainedModel:
        """Load a model from its folder.

        Args:
            path: the folder with model.safetensors and model.json, or its fsspec address.
            builder: the encoder's builder, where the model was trained with one of the user's.
            dataset: the dataset whose reader decodes files, where it is not a built-in one.
            device: where to compute.

        Raises:
            ModelError: no model there, or one that this version or call cannot rebuild.
        """
        folder = to_path(path)
        try:
            description = read_description(folder)
        except FileNotFoundError as error:
            raise ModelError(
                f"no model in {str(folder)!r}: expected {WEIGHTS} and {DESCRIPTION} there"
            ) from error
        except ValueError as error:
            raise ModelError(_unusable(folder, str(error))) from error
        network = _network(description, builder)
        try:
            tensors = load_tensors(read_bytes(folder / WEIGHTS))
            weights = {n: t for n, t in tensors.items() if not n.startswith(REFERENCE)}
            missing, unexpected = network.load_state_dict(weights, strict=False)
        except (SafetensorError, RuntimeError, *failures()) as error:
            raise ModelError(_unusable(folder, f"{WEIGHTS} does not fit: {error}")) from error
        if missing or unexpected:
            names = ", ".join([*missing, *unexpected][:5])
            raise ModelError(_unusable(folder, f"weights do not match the encoder: {names}"))
        reference = {
            name.removeprefix(REFERENCE): tensor
            for name, tensor in tensors.items()
            if name.startswith(REFERENCE)
        }
        return cls(
            description,
            network,
            reference=reference,
            reader=None if dataset is None else dataset.reader,
            calibration=_calibration(folder),
            device=device,
        )

    @classmethod
    def ensemble(cls, members: Sequence[TrainedModel]) -> TrainedModel:
        """The models of several seeds as one, whose prediction is the mean of theirs.

        Args:
            members: Models of one training with several seeds, first that of the run. What is said
                of the training (`description`) and the calibration are the first one's.

        Raises:
            ModelError: The calibration is of another number of networks.
        """
        model = copy.copy(members[0])
        model.predictor = EnsemblePredictor([[one.predictor for one in members]])
        if model.kept is not None:
            try:
                model.calibration = model.kept.of_mean(len(members))
            except StatisticsError as error:
                raise ModelError(f"networks of the model are lacking: {error}") from error
        return model

    @classmethod
    def of_folds(
        cls, folds: Sequence[Sequence[TrainedModel]], *, out_of_fold: pl.DataFrame | None = None
    ) -> TrainedModel:
        """The models of several folds as one, whose prediction is the mean of theirs.

        Args:
            folds: The models of each fold, of all seeds and repeats, of the same dataset and grid.
                What is said of the training (`description`) is of all, see `pooled_facts`; the rest
                is that of the first.
            out_of_fold: What the members that were not trained on a patient predict for it, with
                the columns id, group, target and prediction: these calibrate the ensemble. None
                for an ensemble without a calibration.
        """
        model = copy.copy(folds[0][0])
        model.predictor = EnsemblePredictor([[one.predictor for one in fold] for fold in folds])
        facts = [one.description["training"] for fold in folds for one in fold]
        model.description = {**model.description, "training": pooled_facts(facts)}
        first, model.calibration = model.calibration, None
        if out_of_fold is not None and first is not None:
            pooled = Calibration.of(out_of_fold, first.scale, "folds")
            model.calibration = pooled.of_mean(min(map(len, folds)))
        return model

    def facts(self) -> dict[str, str]:
        """What it predicts, from what, and what it is made of."""
        size, members = " x ".join(map(str, self.card.shape)), len(self.predictor.members)
        expected = "; ".join(f"{name} ({values})" for name, values in self.expected.items())
        return {
            "predicts": f"{self.card.target} in {self.card.unit}",
            "image": f"{self.card.imaging}, on a grid of {size}",
            "covariates": expected or "none",
            "dataset": self.card.name,
            "method": self.description["method"],
            "encoder": self.description["encoder"]["name"],
            **({"ensemble": f"the mean of {members} networks"} if members > 1 else {}),
            "parameters": f"{sum(p.numel() for p in self.predictor.network.parameters()):,}",
        }

    @property
    def expected(self) -> dict[str, str]:
        """What `predict` takes with an image: the covariates by name, and the values of each."""
        return {
            covariate.name: covariate.expected
            + (f" ({covariate.doc})" if covariate.doc else "")
            + ("" if covariate.default is None else ", may be left out")
            for covariate in self.card.covariates
        }

    def predict(self, images: Image | Sequence[Image], **covariates: Any) -> Any:
        """The target in the card's unit.

        Args:
            images: an address of a file in the dataset's own format, an array of pixels
                (``(*spatial)`` or ``(C, *spatial)``, any size; a video has its frames as the first
                of the spatial axes), or a list of either. A tuple of files is one image of several
                files, one for each channel; in a list, as `[("t1.nii.gz", "flair.nii.gz")]`.
            covariates: the raw values, by the card's names, of the file as it is: numbers
                (pixel_size=0.14), or the dataset's own words (sex="F"); one for all images, or
                one for each. `expected` says what the model takes.

        Returns:
            A float for one image, an array (N,) float64 for a list.

        Raises:
            ModelInputError: a covariate is missing or unknown, none of its words, or has another
                length.
            DecodeError: a file that cannot be read (of `supremix_datasets`).
        """
        single = isinstance(images, (str, os.PathLike, np.ndarray))
        items = [images] if single else list(images)
        rows = self._per_image(covariates, len(items))
        values: list[float] = []
        for start in range(0, len(items), BATCH):
            part = zip(items[start : start + BATCH], rows[start : start + BATCH], strict=True)
            shown = [present(self.card, self._decoded(item), row) for item, row in part]
            values += self.predictor.evaluate(shown).predictions.tolist()
        return values[0] if single else np.array(values, dtype=np.float64)

    def predict_table(
        self,
        images: Address | Sequence[Address],
        covariates: Mapping[str, float | str] | None = None,
        *,
        interval: float | None = None,
        interval_method: IntervalMethod = "split",
        correct_bias: BiasCorrection | None = None,
        batch: int = BATCH,
        workers: int | None = None,
        progress: Steps | None = None,
    ) -> pl.DataFrame:
        """Predict a cohort: a folder of images, a table with a row an image, or files.

        Args:
            images: Address of a folder, of a table (CSV, TSV, XLSX, Parquet) with a column of
                files and one for each covariate, of a dataset.toml that describes one; or
                addresses of image files. See docs/predict.md.
            covariates: Values, by the card's names, for every image for which a table has none.
            interval: Probability with which an interval is to cover, such as 0.9, for the columns
                lower and upper; None for no intervals.
            interval_method: split, normalised (by the spread of several networks) or mondrian (by
                the region of labels that the prediction is in).
            correct_bias: cole for the column corrected_prediction, without the bias towards the
                mean; None for none.
            batch: Images of a forward pass.
            workers: Threads that decode; by default one for each CPU, at most 8.
            progress: Called with the numbers of images done and in all; None for a bar in a
                notebook, and nothing elsewhere.

        Returns:
            A row an image, in their order, with the columns file, id, prediction, unit, of an
            ensemble spread, those that are asked for, feature_distance, intensity_distance,
            out_of_distribution, in_training and problem; see docs/predict.md. An image that cannot
            be predicted has a problem and no prediction.

        Raises:
            DatasetError: There is no such folder or table, or no row can have its covariates.
            ModelInputError: The model's files cannot be read without its dataset, or there are no
                such intervals or correction.
        """
        asked = Calibrating(
            interval=interval, interval_method=interval_method, correct_bias=correct_bias
        )
        asked.check(self.calibration, labels=False)
        if isinstance(images, str) or not isinstance(images, Sequence):
            images = [images]
        listed = list_cohort([str(one) for one in images], self.card, covariates)
        (table,) = predict_items(
            [self.predictor],
            [one.found for one in listed],
            self.reader,
            batch=batch,
            workers=workers,
            progress=progress,
        )
        files = pl.Series("file", [one.file for one in listed], dtype=pl.String)
        calibrated = asked.columns(self.calibration, table)
        first = ("id", "prediction", "unit")
        spread = (SPREAD,) if len(self.predictor.members) > 1 else ()
        return table.select(files, *first, *spread, *calibrated, pl.exclude(*first, *VECTORS))

    def _decoded(self, image: Image) -> Any:
        if isinstance(image, np.ndarray):
            return image
        files = image if isinstance(image, tuple) else (image,)
        return self.reader.decode(PART.join(os.fspath(file) for file in files))

    @property
    def reader(self) -> Reader:
        """The reader that decodes files.

        Raises:
            ModelInputError: The dataset is neither built in nor known by an import path, and was
                not given to `load`.
            UnknownDatasetError: Its import path leads to no dataset here.
        """
        if self._reader is None:
            known_as = self.description.get("dataset", self.card.name)
            if known_as not in names() and not is_import_path(known_as):
                raise ModelInputError(
                    f"the dataset {self.card.name!r} is not a built-in one, so its files cannot be "
                    "read: search with its import path (MODULE:NAME) as the dataset, load the "
                    "model with dataset=, or pass an array"
                )
            self._reader = get(known_as).reading(self.card)
        return self._reader

    def _per_image(self, covariates: dict[str, Any], count: int) -> list[dict[str, float | str]]:
        words = {covariate.name for covariate in self.card.covariates if covariate.words}
        rows: list[dict[str, float | str]] = [{} for _ in range(count)]
        for name, value in covariates.items():
            values = np.atleast_1d(np.asarray(value))
            if name in words:  # a number is looked up among the words, as a cell of a table is
                values = values.astype(str)
            if len(values) not in (1, count):
                raise ModelInputError(
                    f"{name} needs one value, or one for each of the {count} images; found "
                    f"{len(values)}"
                )
            for row, one in zip(rows, np.broadcast_to(values, count).tolist(), strict=True):
                row[name] = one
        try:
            for row in rows:
                covariate_vector(self.card, row)
        except CovariateError as error:
            raise ModelInputError(str(error)) from error
        return rows


def _network(description: dict[str, Any], builder: EncoderBuilder | None) -> Network:
    card = description["card"]
    # The weights drawn here are overwritten: leave the host's random state alone.
    with torch.random.fork_rng(devices=[]):
        return Network(
            EncoderSpec.from_dict(description["encoder"], builder=builder),
            channels=card["channels"],
            shape=tuple(card["shape"]),
            covariates=len(card["covariates"]),
            fusion=description["fusion"],
            bins=description["bins"],
        )


def _calibration(folder: UPath) -> Calibration | None:
    try:
        return Calibration.from_dict(json.loads(read_bytes(folder / CALIBRATION)))
    except FileNotFoundError:
        return None
    except (ValueError, StatisticsError, *failures()) as error:
        raise ModelError(_unusable(folder, f"{CALIBRATION}: {error}")) from error


def _unusable(folder: UPath, why: str) -> str:
    return f"the model in {str(folder)!r} cannot be used: {why}. Export it again."

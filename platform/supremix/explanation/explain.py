"""Explaining predictions: `explain`."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from supremix._display import notebook_steps
from supremix.errors import UnknownNameError
from supremix.explanation.grids import nifti_bytes, on_file_grid
from supremix.explanation.maps import METHODS, OCCLUSION, grad_cam, occlusion
from supremix.explanation.pictures import overlay
from supremix.explanation.run_data import read_run_data
from supremix.storage.paths import Address, to_path, write_bytes
from supremix.storage.retry import storage_errors
from supremix.training import ModelInputError, TrainedModel
from supremix.training.artifacts.loading import load
from supremix.training.data.trial_data import to_input
from supremix_datasets import Card, Decoded, Rejected, Sample
from supremix_datasets.cards.dataset import Reader
from supremix_datasets.readers.own_table.cohort import list_cohort
from supremix_datasets.sources.files import as_path
from supremix_datasets.stores.build import rejected_by
from supremix_datasets.stores.clips import clip_extent, take_clip
from supremix_datasets.stores.conform import Presented, present
from supremix_reports import read_table
from supremix_reports.run_layout import EXPLANATIONS

CASES = ("best", "median", "worst")
"""Cases of a split: those of the least, the median and the largest error."""

Steps = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The explanation of one prediction.

    Attributes:
        name: The image: its file, or its id.
        case: ``"best"``, ``"median"`` or ``"worst"`` of the split; empty for another image.
        method: ``"grad-cam"`` or ``"occlusion"``.
        prediction: In the unit of the label; None where the image cannot be read.
        target: The label; None where it is not known.
        unit: The unit of the label.
        layer: The layer that Grad-CAM looked at; empty for occlusion.
        picture: Name of the PNG file.
        map: Name of the file with the map.
        problem: The reason why there is no explanation.
    """

    name: str
    method: str
    unit: str
    case: str = ""
    prediction: float | None = None
    target: float | None = None
    layer: str = ""
    picture: str = ""
    map: str = ""
    problem: str | None = None


def explain(
    model: Address,
    images: Sequence[Address] | Address | None = None,
    method: str = OCCLUSION,
    out: Address | None = None,
    *,
    covariates: Mapping[str, float | str] | None = None,
    ensemble: bool = False,
    progress: Steps | None = None,
    **objects: Any,
) -> list[Explanation]:
    """Show which parts of images their predictions come from.

    Writes for each image a picture of the map over the image, and the map: as NIfTI over the file
    where that is a NIfTI volume, else as npz with ``map`` (on the file's grid, of videos on that of
    the clip), ``model_grid``, ``image`` and ``prediction``. Of a video the clip in its middle is
    explained.

    Args:
        model: A run folder, or the folder of a model.
        images: As `TrainedModel.predict_table` takes them; None for the best, median and worst
            case of the test split of a run (of validation without a test), whose images are read
            from the run's source.
        method: ``"occlusion"``: by how much hiding a part changes the prediction, in its unit;
            ``"grad-cam"``: the parts that raise it, relative to each other. See `grad_cam` and
            `occlusion`.
        out: Folder to write; None for ``explanations/METHOD`` in the run folder.
        covariates: Values, by the card's names, for every image for which a table has none.
        ensemble: Whether to explain the mean of the networks of all seeds, see `supremix.load`.
        progress: Called with the numbers of images done and in all; None for a bar in a notebook,
            and nothing elsewhere.
        objects: The callable of an encoder of one's own (``builder``), or one's own ``dataset``.

    Returns:
        An explanation an image, in their order.

    Raises:
        UnknownNameError: There is no such method.
        ModelInputError: No image is named, and the model is not in a run folder.
        USER_ERRORS: Of `supremix.errors`: the model or the images are out of reach.
    """
    if method not in METHODS:
        raise UnknownNameError("explanation", method, METHODS)
    trained = load(model, ensemble=ensemble, **objects)
    target = to_path(f"{str(model).rstrip('/')}/{EXPLANATIONS}/{method}" if out is None else out)
    if images is None:
        reader, items = _cases(model, objects, ensemble=len(trained.predictor.members) > 1)
    else:
        several = (
            [images] if isinstance(images, str) or not isinstance(images, Sequence) else images
        )
        listed = list_cohort([str(one) for one in several], trained.card, covariates)
        reader, items = trained.reader, [("", one.file, one.found) for one in listed]
    shown = progress or notebook_steps("explaining images")
    found: list[Explanation] = []
    taken: set[str] = set()
    with storage_errors(str(target)):
        for case, name, item in items:
            stem = _stem(case or name.rpartition("/")[2], taken)
            known = Explanation(name=name, case=case, method=method, unit=trained.card.unit)
            explained, files = _explained(trained, reader, item, known, stem)
            found.append(explained)
            for file, content in files.items():
                write_bytes(target / file, content)
            if shown is not None:
                shown(len(found), len(items))
        if images is None:
            content = json.dumps([asdict(one) for one in found], indent=2) + "\n"
            write_bytes(target / "cases.json", content.encode())
    return found


def _cases(
    run: Address, objects: Mapping[str, Any], *, ensemble: bool
) -> tuple[Reader, list[tuple[str, str, Sample | Rejected]]]:
    """The cases of a run's last split, of its first model or of all together, with case and id."""
    if not (to_path(run) / "spec.json").is_file():
        raise ModelInputError(
            f"{run} is not the folder of a run, so it has no best, median and worst case. Name the "
            "run folder, or images."
        )
    table = read_table(str(to_path(run)), "predictions")
    splits = [name for name in ("test", "val") if name in table["split"]]
    own = table.filter(pl.col("split") == splits[0])
    own = own if ensemble else own.filter(pl.col("seed") == own["seed"][0])
    means = own.group_by("id").agg(pl.col("prediction", "target").mean())
    error = (pl.col("prediction") - pl.col("target")).abs()
    ids = means.sort(error, "id")["id"].to_list()
    data = read_run_data(run, objects.get("dataset"))
    chosen = dict(zip(CASES, (ids[0], ids[(len(ids) - 1) // 2], ids[-1]), strict=True))
    gone = "it is no longer in the run's source"
    return data.reader, [
        (case, name, data.samples.get(name, Rejected(id=name, reason=gone)))
        for case, name in chosen.items()
    ]


def _stem(name: str, taken: set[str]) -> str:
    """A new name for the files of an image."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", re.sub(r"(\.[A-Za-z0-9]+)+$", "", name)).strip("-")
    stem = plain = plain or "image"
    number = 1
    while stem in taken:
        number += 1
        stem = f"{plain}-{number}"
    taken.add(stem)
    return stem


def _explained(
    trained: TrainedModel, reader: Reader, item: Sample | Rejected, known: Explanation, stem: str
) -> tuple[Explanation, dict[str, bytes]]:
    """The explanation of an image and its files; without them where it cannot be read."""
    if isinstance(item, Sample):
        try:
            decoded = Decoded.of(reader.decode(as_path(item.address)))
            shown = present(trained.card, decoded, item.covariates)
        except Exception as error:  # noqa: BLE001 any fault of one file concerns that file alone
            item = rejected_by(error, item)
        else:
            return _files(trained, decoded, shown, item, known, stem)
    return replace(known, problem=item.reason), {}


def _files(
    trained: TrainedModel,
    decoded: Decoded,
    shown: Presented,
    sample: Sample,
    known: Explanation,
    stem: str,
) -> tuple[Explanation, dict[str, bytes]]:
    card = trained.card
    prediction = float(trained.predictor.evaluate([shown]).predictions[0])
    pixels = shown.pixels if card.period is None else _middle_clip(shown.pixels, card)
    graph = trained.predictor.graph().cpu()
    image = to_input(torch.from_numpy(pixels.copy())[None], card.offset, card.gain).float()
    covariates = torch.from_numpy(shown.covariates)[None]
    layer = ""
    if known.method == OCCLUSION:
        made = occlusion(graph, image, covariates).numpy()
        scale = f"raises (red) or lowers (blue) the prediction, {card.unit}"
    else:
        found, layer = grad_cam(graph, image, covariates)
        largest = float(found.max())
        made = (found / (largest or 1.0)).numpy()
        scale = "raises the prediction, relative to the strongest point"
        scale = scale if largest else "nothing raises the prediction"
    title = f"{card.target}: {prediction:.3g} {card.unit} predicted; {known.method}"
    signed = known.method == OCCLUSION
    picture = overlay(pixels[0].astype(float), made, card, title=title, scale=scale, signed=signed)
    name, content = _map_file(made, pixels, decoded, sample.address, card, prediction)
    files = {f"{stem}.png": picture, f"{stem}{name}": content}
    explained = replace(
        known,
        prediction=prediction,
        target=sample.target if known.case else None,
        layer=layer,
        picture=f"{stem}.png",
        map=f"{stem}{name}",
    )
    return explained, files


def _middle_clip(video: NDArray[Any], card: Card) -> NDArray[Any]:
    return take_clip(video, max(len(video) - clip_extent(card), 0) // 2, card)


def _map_file(
    made: NDArray[Any],
    pixels: NDArray[Any],
    decoded: Decoded,
    address: str,
    card: Card,
    prediction: float,
) -> tuple[str, bytes]:
    """The ending and content of the file with a map."""
    whole = made if card.period is not None else on_file_grid(made, decoded, card)
    volume = nifti_bytes(whole, address) if card.period is None and whole.ndim == 3 else None
    if volume is not None:
        return ".nii", volume
    buffer = io.BytesIO()
    np.savez_compressed(buffer, map=whole, model_grid=made, image=pixels, prediction=prediction)
    return ".npz", buffer.getvalue()

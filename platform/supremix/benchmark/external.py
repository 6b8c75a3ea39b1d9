"""Outside cohorts of a benchmark: read and checked before its start, evaluated at its end."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl
import torch
from upath import UPath

from supremix.benchmark.cells import Cell
from supremix.errors import USER_ERRORS, SpecError
from supremix.external.cohort import Cohort
from supremix.external.measure import EVALUATIONS, measure
from supremix.progress.progress import Listener, Progress, Steps
from supremix.search.shared_session import SharedSession, named_part
from supremix.search.spec import PHANTOM, SearchSpec
from supremix.storage.paths import absolute, discard, read_bytes, to_path
from supremix.storage.retry import storage_errors, with_retries
from supremix.training import TrainedModel
from supremix.training.artifacts.format import DESCRIPTION
from supremix_datasets import Card, Dataset
from supremix_reports import OutsideResult, write_external
from supremix_reports.evaluation.page import WARNINGS

Sources = Mapping[str, str] | Sequence[tuple[str, str]]
"""Folder or address by the name of the dataset that reads it, or pairs of them."""

Fitting = Mapping[str, Sequence[Cohort]]
"""By dataset of the benchmark the cohorts that its models are measured on."""


def outside_sources(external: Sources | None) -> list[tuple[str, str]]:
    """The outside cohorts that a request names, as pairs of a name and an absolute address.

    Raises:
        SpecError: They are given in another form.
    """
    given: Any = external or ()
    pairs: list[Any] = list(given.items() if isinstance(given, Mapping) else given)
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise SpecError(
                "external has to be a dict from the name of a dataset to a folder, or a list of "
                f"such pairs; got {pair!r}."
            )
    return list(dict.fromkeys((name, absolute(source)) for name, source in pairs))


def read_cohorts(
    sources: Iterable[tuple[str, str]], specs: Sequence[SearchSpec], listen: Listener
) -> Fitting:
    """Read the outside cohorts, and check that models of the benchmark can be measured on each.

    Nothing is trained yet; the first images of each cohort are decoded.

    Args:
        sources: Name and address of each.
        specs: Specifications of the benchmark; their `Dataset` objects stand for their names.
        listen: Called with a warning where a cohort does not fit one of several datasets.

    Raises:
        SpecError: A cohort cannot be read, has no labels, fits no dataset, or has the name of
            another.
    """
    own = {one.dataset.name: one.dataset for one in specs if isinstance(one.dataset, Dataset)}
    cohorts: dict[str, Cohort] = {}
    for name, source in sources:
        try:
            found = Cohort.read(own.get(name, name), source)
        except USER_ERRORS as error:
            raise SpecError(f"outside cohort {name}={source}: {error}") from error
        if found.card.name in cohorts:
            raise SpecError(
                f"two outside cohorts are called {found.card.name}: {source} and "
                f"{cohorts[found.card.name].source}. Give one of them another name, for a table of "
                "your own in dataset.toml."
            )
        cohorts[found.card.name] = found
    cards = {one.resolve_dataset().card.name: _card(one) for one in specs}
    fitting: dict[str, list[Cohort]] = {name: [] for name in cards}
    for name, cohort in cohorts.items():
        reasons = {dataset: _misfit(cohort, card, len(cards)) for dataset, card in cards.items()}
        words = "; ".join(f"{dataset}: {why}" for dataset, why in reasons.items() if why)
        if all(reasons.values()):
            raise SpecError(f"no model can be measured on the outside cohort {name}. {words}")
        if words:
            text = f"Not measured on the outside cohort {name}: {words}"
            listen(Progress(message=text, warning=True))
        for dataset, why in reasons.items():
            fitting[dataset] += [] if why else [cohort]
    return fitting


def _card(spec: SearchSpec) -> Card:
    """The card that the models of a search will have, as far as it is known before they are."""
    phantom = spec.resolve_source() == PHANTOM
    return spec.resolve_dataset().card_for(phantom=phantom, shape=spec.shape)


def _misfit(cohort: Cohort, card: Card, datasets: int) -> str:
    """Why models with a card cannot be measured on a cohort; empty where they can."""
    if datasets > 1 and not cohort.is_labelled_like(card):
        other = cohort.card
        return f"its label is {card.target} ({card.unit}), not {other.target} ({other.unit})"
    try:
        cohort.check(card)
        cohort.check_images(card)
    except USER_ERRORS as error:
        return str(error)
    return ""


def evaluate_cells(
    folder: UPath,
    cells: Sequence[Cell],
    fitting: Fitting,
    session: SharedSession,
    *,
    reference: str,
) -> None:
    """Measure the models of all cells on the outside cohorts that fit, and compare the methods.

    All models of a dataset and method are measured in one pass: those of every test seed and fold.
    What was measured before stays. A failure is noted in the table; the others are measured.

    Args:
        folder: Folder of the benchmark.
        cells: Its searches.
        fitting: The cohorts by dataset.
        session: Its session.
        reference: Method that the others are compared with.

    Raises:
        RunFolderError: The storage fails, or another process has taken the benchmark over.
    """
    wholes: dict[UPath, list[Cell]] = {}
    for cell in cells:
        wholes.setdefault(cell.folder, []).append(cell)
    names = dict.fromkeys(one.card.name for own in fitting.values() for one in own)
    found = [
        _result(cohort, own, session)
        for name in names
        for own in wholes.values()
        for cohort in fitting[own[0].dataset]
        if cohort.card.name == name
    ]
    with storage_errors(str(folder)):
        with_retries(lambda: write_external(str(folder), found, reference=reference), str(folder))


def _result(cohort: Cohort, cells: Sequence[Cell], session: SharedSession) -> OutsideResult:
    """What the models of a dataset and method predict of a cohort, or why they do not."""
    session.check()
    first, name = cells[0], cohort.card.name
    out = first.folder / EVALUATIONS / name
    common: dict[str, Any] = {"cohort": name, "dataset": first.dataset, "method": first.method}
    common["unit"] = first.spec.resolve_dataset().card.unit
    folders = {
        address.removeprefix(f"{first.folder}/"): address
        for cell in cells
        for address in (cell.run.network(number) for number in range(cell.spec.test_seeds))
    }
    try:
        known: dict[str, Any] | None = _measured_before(out, len(folders))
        if known is None:
            with storage_errors(str(first.folder)):
                lacking = [
                    n for n, at in folders.items() if not (to_path(at) / DESCRIPTION).is_file()
                ]
            if lacking:
                reason = f"there is no model: {', '.join(lacking)}; see the table comparison"
                return OutsideResult(**common, reason=reason)
            with storage_errors(str(out)):
                discard(out / WARNINGS)  # what is there is not complete, or of fewer models
            listen = named_part(session.listen, f"{first.dataset}/{first.method}")
            steps = Steps(f"evaluating on {name}", listen)
            measured = measure(_models(folders, first.spec), cohort, out, progress=steps)
            known = {
                "predictions": measured.predictions,
                "excluded": measured.excluded.height,
                "warnings": measured.warnings,
            }
    except (*USER_ERRORS, RuntimeError) as error:  # of torch, such as no memory on the GPU
        text = f"{first.method} on {first.dataset} could not be measured on {name}: {error}"
        session.listen(Progress(message=text, warning=True))
        return OutsideResult(**common, reason=str(error))
    return OutsideResult(**common, **known)


def _measured_before(out: UPath, models: int) -> dict[str, Any] | None:
    """What a complete evaluation of so many models left in its folder; None without one."""
    with storage_errors(str(out)):
        if not (out / WARNINGS).is_file():  # which is written last
            return None
        predictions, excluded = (
            pl.read_parquet(io.BytesIO(read_bytes(out / f"{table}.parquet")))
            for table in ("predictions", "excluded")
        )
        warnings = json.loads(read_bytes(out / WARNINGS))
    if predictions["seed"].n_unique() != models:
        return None
    return {"predictions": predictions, "excluded": excluded.height, "warnings": warnings}


def _models(folders: Mapping[str, str], spec: SearchSpec) -> dict[str, TrainedModel]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    builder = spec.encoder_spec().builder
    return {
        name: TrainedModel.load(address, builder=builder, device=device)
        for name, address in folders.items()
    }

"""The images, and how they are split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from supremix.search.request.option import (
    BENCHMARK,
    CHECK,
    COMMANDS,
    DATA,
    JOINT,
    OPTIONAL,
    PLAN,
    PREPARE,
    REQUIRED,
    SEARCH,
    SEARCHES,
    TRAININGS,
    option,
)

if TYPE_CHECKING:
    from supremix_datasets import Dataset

_data = partial(option, group=DATA, commands=TRAININGS)
_ONE = (
    "Name of the dataset, see `supremix datasets`, or the import path MODULE:NAME of one of your "
    "own."
)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The images, and how they are split."""

    dataset: str | Dataset = _data(
        REQUIRED,
        help="Name of the dataset, see `supremix datasets`, or the import path MODULE:NAME of one "
        "of your own. Several, separated by commas, are searched at once by the same worker "
        "groups.",
        commands=COMMANDS,
        metavar="NAME,…",
        changes={
            SEARCH: OPTIONAL,
            PLAN: OPTIONAL,
            BENCHMARK: {
                **OPTIONAL,
                "help": "Names of the datasets, separated by commas; see `supremix datasets`. When "
                "a run is resumed: those to add.",
                "resumable": True,
            },
            JOINT: {
                "help": "Names of the datasets, separated by commas; see `supremix datasets`.",
                "metavar": "NAME,NAME,…",
            },
            PREPARE: {"help": _ONE, "metavar": "NAME"},
            CHECK: {"help": _ONE, "flag": "dataset"},
        },
    )
    source: str | None = _data(
        help="The dataset's official folder, on disk or at any fsspec address (s3://…). "
        "'phantom' generates images, and is the default where the dataset has phantoms. For "
        "several datasets: NAME=FOLDER,NAME=FOLDER.",
        commands=COMMANDS,
        metavar="FOLDER",
        address=True,
        changes={
            BENCHMARK: {"resumable": True},
            JOINT: {
                "help": "Official folder of one dataset, on disk or at any fsspec address; by "
                "default phantoms, where the dataset has some. Repeat it for more datasets.",
                "form": "texts",
                "metavar": "NAME=FOLDER",
            },
        },
    )
    shape: tuple[int, ...] | None = _data(
        help="Grid that the images are resampled to, in pixels or voxels; by default the dataset "
        "card's. A smaller grid is faster.",
        commands=COMMANDS,
        form="shape",
        metavar="N,N,…",
        changes={
            JOINT: {
                "help": "Grid that the images of one dataset are resampled to, in pixels or "
                "voxels; by default its card's. Repeat it for more datasets.",
                "form": "texts",
                "metavar": "NAME=N,N,…",
            }
        },
    )
    phantoms: int | None = _data(
        help="Number of phantoms to generate for a dataset; by default the dataset's own number.",
        least=1,
    )
    fractions: tuple[float, float, float] = _data(
        (0.6, 0.2, 0.2),
        help="Fractions of the patients in training, validation and test, adding up to 1, where "
        "the dataset has no official split.",
        form="fractions",
        metavar="F,F,F",
    )
    split_seed: int = _data(
        0,
        help="Seed of the split into training, validation and test, where the dataset has no "
        "official one; use the same for all searches that are to be compared.",
    )
    keep_copies_together: bool = _data(
        False,
        help="Keep images with the same pixels in one split, also where they are of several "
        "patients: patients who have an image in common are split as one.",
        form="flag",
    )
    folds: int | None = _data(
        help="Folds of a cross-validation by patient, stratified by label: each has a search of "
        "its own, without the patients of the fold, who are its test split. Official splits do "
        "not count. Folds that the dataset's own table has (column `fold`) are taken; this is "
        "their number then. See docs/folds.md.",
        least=2,
        commands=SEARCHES,
    )
    repeats: int = _data(
        1,
        help="Times that the whole cross-validation of `folds` is done, each with other folds.",
        least=1,
        commands=SEARCHES,
    )
    stratify_by_site: bool = _data(
        False,
        help="Stratify `folds` by site as well as by label.",
        form="flag",
        commands=SEARCHES,
    )
    search_once: bool = _data(
        False,
        help="Search hyperparameters in the first of the `folds` only, and train with these in all "
        "others: faster, but optimistically biased, as the search has seen the others' test "
        "patients.",
        form="flag",
        commands=SEARCHES,
    )
    label_fraction: float = _data(
        1.0,
        help="Fraction of the training patients whose labels are used; validation and test keep "
        "all of theirs.",
        above=0,
        most=1,
        metavar="FRACTION",
        commands=SEARCHES,
    )

"""The options of a study: what is searched, for how long, and how the result is confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from supremix._choices import EFFORTS, PRUNERS, SAMPLERS
from supremix.search.request.option import (
    BENCHMARK,
    BUDGET,
    EVALUATION,
    JOINT,
    OPTIONAL,
    PLAN,
    SEARCH,
    SETTINGS,
    TRAININGS,
    option,
)

if TYPE_CHECKING:
    from supremix.training import Method
    from supremix_spaces import Space

_budget = partial(option, group=BUDGET)
_search = partial(option, group=SETTINGS)
_evaluation = partial(option, group=EVALUATION)


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """The options of a study: what is searched, for how long, and how the result is confirmed."""

    effort: str = _budget(
        "standard",
        help="What a search does where nothing else is said: 'quick' is 8 trials of 24,000 images "
        "seen, 'standard' 16 of 240,000, 'thorough' 40 of 1,000,000, with 1, 3 and 5 of "
        "`confirm_seeds`; see docs/running.md.",
        commands=TRAININGS,
        choices=EFFORTS,
        changes={
            JOINT: {
                "help": "Length of the training where neither `epochs` nor `images_seen` is given: "
                "'quick' is 24,000 images seen of each dataset, 'standard' 240,000, 'thorough' "
                "1,000,000; see docs/running.md."
            }
        },
    )
    trials: int | None = _budget(
        help="Number of trials of each search. A search ends when `trials`, `time` or "
        "`gpu_hours` is used up, whichever is first; by default, without any of them, after the "
        "trials of `effort`.",
        least=1,
    )
    time: float | None = _budget(
        help="Wall time of each search, in seconds or written like 30m, 1h30m, 90s.",
        above=0,
        form="time",
    )
    gpu_hours: float | None = _budget(
        help="Hours that GPUs train in each search, added up over all GPUs.", above=0
    )
    epochs: int | None = _budget(
        help="Epochs of a whole trial, all stages together; by default as many as it takes to see "
        "the images of `images_seen` or `effort`.",
        commands=TRAININGS,
        least=2,
        changes={
            SEARCH: {
                "help": "Epochs of a whole trial, all stages together; by default as many as it "
                "takes to see the images of `images_seen` or `effort`. With `resume`, epochs that "
                "the best trials of a finished search are prolonged to.",
                "resumable": True,
            }
        },
    )
    images_seen: int | None = _budget(
        help="Images that a whole trial sees with the default hyperparameters, rounded up to whole "
        "epochs, such as 240000, 240k or 1.2M. A contrastive step sees two views of each image. "
        "Not with `epochs`.",
        commands=TRAININGS,
        least=1,
        form="count",
        metavar="N",
    )
    final_images_seen: int | None = _budget(
        help="Images that the final model sees, which is trained on training and validation data; "
        "by default as many as a trial, or as `effort` asks for where a budget made trials "
        "shorter. It is at least as many as a trial sees.",
        least=1,
        form="count",
        metavar="N",
    )
    method: str | Method = _search(
        "supremix",
        help="How a trial trains: 'supremix' (contrastive pretraining, then regression), 'l1' "
        "(end to end), another name of docs/methods.md, or one of your own by its import path "
        "MODULE:NAME. Several names, separated by commas, are compared on the same images, split, "
        "seed and budget.",
        commands=TRAININGS,
        metavar="NAME,…",
        changes={
            BENCHMARK: {
                **OPTIONAL,
                "help": "Names of the methods, separated by commas; see docs/methods.md. By "
                "default supremix,rnc,l1. When a run is resumed: those to add.",
                "resumable": True,
            },
            JOINT: {"help": "How to train; see docs/methods.md.", "metavar": "NAME"},
        },
    )
    space: str | Space | None = _search(
        help="TOML or JSON file with hyperparameters to search, in place of those of the method's "
        "preset; in Python also a `Space`.",
        metavar="FILE",
        address=True,
    )
    overrides: tuple[str, ...] = _search(
        (),
        help="Search other values of one hyperparameter: NAME=0.1 (fixed), NAME=0.05..1.0 (range; "
        "end it with :log for a logarithmic one), NAME=16,32,64 (choice). Repeat it for more.",
        commands=TRAININGS,
        form="texts",
        flag="--set",
        metavar="NAME=VALUES",
        changes={
            JOINT: {
                "help": "Value of a hyperparameter: NAME=0.1 for all datasets, DATASET.NAME=0.1 "
                "for one. Repeat it for more.",
                "metavar": "NAME=VALUE",
            }
        },
    )
    points: tuple[str, ...] = _search(
        (),
        help="Hyperparameters to try right after the defaults; those left out have their defaults. "
        "Repeat it for more trials.",
        form="texts",
        flag="--point",
        metavar="NAME=VALUE,…",
    )
    seed: int = _search(
        0,
        help="Seed of the search and of every training: the same seed on the same machine gives "
        "the same numbers.",
        commands=TRAININGS,
    )
    warm_start: bool | None = _search(
        help="Start from what earlier searches of the same method found, on this dataset and "
        "others, whose run folders lie in the same folder; by default with several datasets only.",
        commands=(SEARCH, PLAN),
    )
    sampler: str = _search(
        "tpe",
        help="Sampler that proposes hyperparameters, one of Optuna's: 'tpe' (tree-structured "
        "Parzen estimator), 'gp' (Gaussian process, which learns from whole trials only), "
        "'random'.",
        choices=SAMPLERS,
    )
    pruner: str = _search(
        "halving",
        help="Rule by which trials that fall behind are stopped early: 'halving' (asynchronous "
        "successive halving), 'median' (worse than the median), 'none' (every trial is whole).",
        choices=PRUNERS,
    )
    grace: int | None = _search(
        help="Epochs before a trial may be stopped; by default half of a trial's; not with the "
        "pruner 'none'.",
        least=1,
    )
    reduction: float | None = _search(
        help="Factor of the halving: one in so many trials continues at a rung, and the next rung "
        "is at so many times the epochs; by default 3; with the pruner 'halving' alone.",
        above=1,
    )
    finalists: int = _evaluation(
        1,
        help="Number of best trials that are trained again with new seeds at the end, together "
        "with the defaults, before hyperparameters are named best: the defaults, unless others are "
        "better by more than a standard error.",
        least=1,
    )
    confirm_seeds: int = _evaluation(
        help="Number of new seeds that each of the `finalists` and the defaults are trained with; "
        "by default that of `effort`; with 0 the trial with the lowest error is named best, which "
        "is partly luck.",
        least=0,
    )
    test: bool = _evaluation(
        True,
        help="At the end, retrain the best hyperparameters on training and validation data and "
        "evaluate the model once on the test split.",
        commands=(SEARCH, PLAN),
    )
    test_seeds: int = _evaluation(
        help="Number of seeds of that retraining: `seed` and those after it; by default 1, with "
        "the `effort` 'thorough' 3. The model of `seed` is the run's; the others are kept with it, "
        "for ensembles.",
        least=1,
        changes={
            BENCHMARK: {
                "default": 3,
                "help": "Number of seeds with which the best hyperparameters are retrained and "
                "evaluated on the test split, the same for all methods. When a run is resumed: "
                "the number from now on.",
                "resumable": True,
            }
        },
    )

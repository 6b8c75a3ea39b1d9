"""Options of commands that no specification holds: what to write, continue and show."""

from __future__ import annotations

from functools import partial

from supremix._choices import OBJECTIVES
from supremix.search.request.option import (
    BENCHMARK,
    CHECK,
    COMMANDS,
    DATA,
    EVALUATION,
    JOINT,
    OUTPUT,
    PLAN,
    PREPARE,
    SEARCH,
    SETTINGS,
    TRAININGS,
    Option,
)

_flag = partial(Option, type="bool", default=False, form="flag")

COMMAND_OPTIONS = (
    Option(
        name="request",
        help="TOML file with options under their names in Python, or the spec.json of a run, for a "
        "new run with the same request. Options on the command line win over the file.",
        group=DATA,
        commands=(*TRAININGS, PREPARE),
        metavar="FILE",
        flag="request",
    ),
    _flag(
        name="dry_run",
        help="Check the request and print it as TOML, defaults included; nothing is started.",
        group=OUTPUT,
        commands=(*TRAININGS, PREPARE),
    ),
    Option(
        name="objective",
        type="str",
        default=OBJECTIVES[0],
        help="What several datasets are searched for: per-dataset finds the best hyperparameters "
        "of each, joint those that are best for all.",
        group=SETTINGS,
        commands=(SEARCH, PLAN),
        choices=OBJECTIVES,
    ),
    Option(
        name="reference",
        help="Method that the others are compared with; by default l1 where it is one of them, "
        "else the last.",
        group=EVALUATION,
        commands=(BENCHMARK,),
        metavar="METHOD",
        resumable=True,
    ),
    Option(
        name="external",
        help="Outside cohorts that all models are measured on in the end, as supremix evaluate "
        "does: names of datasets, `table` for your own, with the folder of each; a name may occur "
        "more than once. They are read before the first trial. When a run is resumed: those to "
        "add.",
        group=EVALUATION,
        commands=(BENCHMARK,),
        metavar="NAME=FOLDER,…",
        resumable=True,
    ),
    Option(
        name="alone",
        type="bool",
        default=True,
        help="Train each dataset alone as well, with the same hyperparameters and epochs.",
        group=EVALUATION,
        commands=(JOINT,),
    ),
    _flag(
        name="full",
        help="Decode every image, not a few of each split.",
        group=DATA,
        commands=(CHECK,),
    ),
    Option(
        name="out",
        help="Run folder to write, on disk or at any fsspec address; by default a new one in "
        "runs/.",
        group=OUTPUT,
        commands=(*TRAININGS, CHECK),
        metavar="RUN",
        changes={
            JOINT: {
                "help": "Run folder to write, on disk or at any fsspec address; by default a new "
                "one in runs/. The same command with the folder of an interrupted run continues it."
            },
            CHECK: {
                "help": "Folder for the contact sheets; by default one in the cache.",
                "metavar": "FOLDER",
            },
        },
    ),
    Option(
        name="resume",
        help="Continue the run in this folder, as it was specified. Only `address`, `wheel` and "
        "`cache` may be given with it, where they are different now, and `epochs` to prolong the "
        "best trials of a finished search of one method on one dataset.",
        group=OUTPUT,
        commands=(SEARCH, BENCHMARK),
        metavar="RUN",
        resumable=True,
        changes={
            BENCHMARK: {
                "help": "Continue the benchmark in this folder, or extend it: with it may be given "
                "`method`, `dataset` (with `source`) and `test_seeds` for what is to be added, "
                "`reference`, `external`, and `address`, `wheel` and `cache` where they are "
                "different now."
            }
        },
    ),
    _flag(
        name="or_resume",
        help="Start the run in `out`, or continue it where it was started there before: one "
        "command for a job that may be restarted. A run that is continued takes from the command "
        "what `resume` allows.",
        group=OUTPUT,
        commands=(SEARCH, BENCHMARK),
    ),
    Option(
        name="report",
        type="bool",
        default=True,
        help="Write a report into RUN/report at the end.",
        group=OUTPUT,
        commands=(BENCHMARK,),
        resumable=True,
    ),
    _flag(
        name="as_json",
        help="Print the plan as JSON.",
        group=OUTPUT,
        commands=(PLAN,),
        flag="--json",
    ),
    _flag(
        name="quiet",
        help="Show only the result.",
        group=OUTPUT,
        commands=COMMANDS,
        flag="--quiet",
        resumable=True,
    ),
)

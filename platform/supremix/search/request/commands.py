"""Options of commands that no specification holds: what to write, continue and show."""

from __future__ import annotations

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
    SEARCH,
    SETTINGS,
    TRAININGS,
    Option,
)

COMMAND_OPTIONS = (
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
        default=None,
        help="Method that the others are compared with; by default l1 where it is one of them, "
        "else the last.",
        group=EVALUATION,
        commands=(BENCHMARK,),
        metavar="METHOD",
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
    Option(
        name="full",
        type="bool",
        default=False,
        help="Decode every image, not a few of each split.",
        group=DATA,
        commands=(CHECK,),
        form="flag",
    ),
    Option(
        name="out",
        default=None,
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
        default=None,
        help="Continue the run in this folder, as it was specified. Only `address`, `wheel` and "
        "`cache` may be given with it, where they are different now.",
        group=OUTPUT,
        commands=(SEARCH, BENCHMARK),
        metavar="RUN",
        resumable=True,
        changes={
            BENCHMARK: {
                "help": "Continue the benchmark in this folder, or extend it: with it may be given "
                "`method`, `dataset` (with `source`) and `test_seeds` for what is to be added, "
                "`reference`, and `address`, `wheel` and `cache` where they are different now."
            }
        },
    ),
    Option(
        name="or_resume",
        type="bool",
        default=False,
        help="Start the run in `out`, or continue it where it was started there before: one "
        "command for a job that may be restarted. A run that is continued takes from the command "
        "what `resume` allows.",
        group=OUTPUT,
        commands=(SEARCH, BENCHMARK),
        form="flag",
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
    Option(
        name="as_json",
        type="bool",
        default=False,
        help="Print the plan as JSON.",
        group=OUTPUT,
        commands=(PLAN,),
        form="flag",
        flag="--json",
    ),
    Option(
        name="quiet",
        type="bool",
        default=False,
        help="Show only the result.",
        group=OUTPUT,
        commands=COMMANDS,
        form="flag",
        flag="--quiet",
        resumable=True,
    ),
)

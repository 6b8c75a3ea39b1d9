"""Convergence in words: the sentence for one training, and the one for several."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from supremix_reports import convergence_sentence
from supremix_reports.summaries.convergence import longer_command, longer_sentence


def sentence(exponent: float, *, seeds: int = 0, stages: int = 1, **config: Any) -> str:
    """The sentence on trial 1 of 80 epochs, with so many new seeds."""
    numbers = [1, *range(2, 2 + seeds)]
    trials = pl.DataFrame(
        {
            "trial": numbers,
            "replicate_of": [None, *[1] * seeds],
            "state": "finished",
            "epochs": 80,
            "dataset": "hc18",
            "method": "l1",
            "unit": "mm",
            "config": json.dumps({"schedule": "constant", **config}),
        },
        schema_overrides={"replicate_of": pl.Int32},
    )
    rows = [
        {
            "trial": number, "dataset": "hc18", "epoch": k + 1, "loss": 0.5,
            "stage": "pretrain" if stages == 2 and k < 40 else "regress",
            "error": float(2 + 10 * (k % (80 // stages) + 1) ** -exponent),
        }
        for number in numbers
        for k in range(80)
    ]  # fmt: skip
    generator = np.random.default_rng(0)
    curves = pl.DataFrame(rows).with_columns(
        pl.col("error") * (1 + 0.005 * generator.standard_normal(len(rows)))
    )
    return convergence_sentence(trials, curves, 1, "runs/first")


def test_a_training_that_has_not_flattened_is_said_with_the_command_that_goes_on() -> None:
    text = sentence(0.5)

    assert text.startswith(
        "The best training of l1 on hc18 has not flattened: the error on validation changed by -0."
    )
    assert re.search(
        r"mm over the last quarter of the training, and twice its length would change it by "
        r"-0\.\d+ mm \(-\d+\.\d %, 95% interval -0\.\d+ to -0\.\d+ mm\)\. To train longer: "
        r"supremix search --resume runs/first --epochs 160$",
        text,
    )


def test_of_one_that_has_no_command_is_given() -> None:
    text = sentence(3.0)

    assert text.startswith("The best training of l1 on hc18 has flattened: the error")
    assert "supremix search" not in text


def test_seeds_and_stages_are_named_where_there_are_several() -> None:
    assert "validation (mean over 3 new seeds) changed" in sentence(0.5, seeds=3)
    assert "over the last quarter of the stage regress, and twice its" in sentence(0.5, stages=2)


def test_where_it_cannot_be_said_the_reason_is() -> None:
    text = sentence(0.5, schedule="one-cycle")

    assert text.startswith(
        "Whether the best training of l1 on hc18 has flattened cannot be said (under the schedule "
        "one-cycle the error falls with the learning rate): the error on validation changed by -"
    )
    assert text.endswith(
        "of the training. To train longer: " + longer_command("runs/first", 80, planned=True)
    )


def test_a_folder_with_a_space_is_quoted() -> None:
    assert longer_command("my runs/a", 30) == "supremix search --resume 'my runs/a' --epochs 60"
    new = longer_command("my runs/a", 30, planned=True)
    assert new == "supremix search 'my runs/a/spec.json' --epochs 60"


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ({"l1": "flattened", "rnc": None}, ""),
        (
            {"l1": "still falling", "rnc": "flattened", "simclr": "cannot be said"},
            "Not shown to have flattened: l1 (still falling), simclr (cannot be said). Longer "
            "training may change the order.",
        ),
    ],
)
def test_of_several_those_that_have_not_flattened_are_named(
    verdicts: dict[str, str | None], said: str
) -> None:
    assert longer_sentence(verdicts) == said

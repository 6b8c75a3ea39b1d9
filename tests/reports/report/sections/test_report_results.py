"""What a report says of gains in a sentence, and what it must not claim."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from supremix_reports import average_gain, compare_methods
from supremix_reports.document.parts import Listing
from supremix_reports.report.sections.methods import methods_section
from supremix_reports.report.sections.results import gains_sentences, gains_table, measures_table


def studied(predicted: Any, *, seeds: int) -> pl.DataFrame:
    """Two datasets, on each of which "supremix" is better than "l1" by a third."""
    frames = []
    for k, dataset in enumerate(("brains", "hearts")):
        table = predicted(seeds=seeds, seed=k).with_columns(dataset=pl.lit(dataset))
        error = pl.col("prediction") - pl.col("target")
        worse = table.with_columns(method=pl.lit("l1"), prediction=pl.col("target") + 1.5 * error)
        frames += [table, worse]
    return pl.concat(frames)


def sentence(predictions: pl.DataFrame) -> str:
    averages = average_gain(predictions, reference="l1", resamples=200)
    gains = compare_methods(predictions, reference="l1", resamples=200)
    (text,) = gains_sentences(gains, averages, "l1")
    return text


def test_a_mean_gain_of_several_seeds_has_its_interval_and_number_of_datasets(
    predicted: Any,
) -> None:
    text = sentence(studied(predicted, seeds=3))
    assert text.startswith("supremix against l1: significantly better on 2 of 2 datasets; ")
    assert "mean gain +33.3 (+33" in text
    assert text.endswith(") % over 2 datasets.")


def test_a_mean_gain_of_one_seed_has_no_interval_and_says_so(predicted: Any) -> None:
    text = sentence(studied(predicted, seeds=1))
    assert text.endswith("; mean gain +33.3 % over 2 datasets (one seed).")


def test_a_mean_gain_names_the_datasets_it_is_without(predicted: Any) -> None:
    table = studied(predicted, seeds=2)
    lacking = table.filter(~((pl.col("dataset") == "hearts") & (pl.col("method") == "supremix")))
    assert sentence(lacking).endswith(") % over 1 dataset (without hearts: no predictions).")


def test_without_any_gain_the_sentence_says_why(predicted: Any) -> None:
    table = studied(predicted, seeds=2).filter(dataset="brains")
    other = table.with_columns(id=pl.col("id") + pl.col("method"))
    assert sentence(other).endswith(
        "; no mean gain (without brains: other samples than the reference)."
    )


def test_notes_say_what_is_not_corrected_and_what_a_measure_of_seeds_is() -> None:
    none = pl.DataFrame()
    assert (
        "(not corrected for the number of methods)"
        in gains_table(none, reference="l1", level=0.95).note
    )
    mae = pl.DataFrame(schema=dict.fromkeys(("split", "metric", "dataset", "method"), pl.String))
    assert (
        "the mean of each seed's own measure" in measures_table(mae, split="test", level=0.95).note
    )


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ("Errors", "computed of each seed's predictions, then averaged"),
        ("Models", "for these models, not over seeds"),
        ("Gains", "not corrected for the number of methods"),
    ],
)
def test_the_methods_say_what_is_over_seeds_and_what_is_not(about: str, words: str) -> None:
    settings: Any = {"level": 0.95, "resamples": 2000, "comparing": 10_000, "seed": 0}
    section = methods_section(split="test", reference="l1", **settings)
    (listing,) = (part for part in section.parts if isinstance(part, Listing))
    assert words in str(dict(listing.entries)[about])

"""Evidence about a search: its numbers against Optuna, NumPy and plain loops."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

from supremix_reports.figures.plot import NotShown, Plot
from supremix_reports.figures.search import importance as evidence_importance
from supremix_reports.figures.search import marginals as evidence_marginals
from supremix_reports.figures.search.curves import best_so_far, learning_curves, shuffled
from supremix_reports.figures.search.importance import importance_plot, importances
from supremix_reports.figures.search.search import search_plots
from supremix_reports.figures.search.trials import Searched, SearchTrials, search_trials

WORDS = {"dataset": "made", "method": "supremix", "unit": "years"}
NAMES = [
    f"made-supremix-{what}"
    for what in ("importance", "sensitivity", "budget", "curves", "parallel")
]


def searched(trials: SearchTrials) -> Searched:
    return Searched(trials, pl.DataFrame(), "words", "years")


def plots(trials: pl.DataFrame, curves: pl.DataFrame, space: Any) -> dict[str, Any]:
    return {p.name.split("-")[-1]: p for p in search_plots(trials, curves, space, **WORDS)}


def test_a_search_drawn_twice_shows_everything_in_the_same_bytes(search: Any, space: Any) -> None:
    trials, curves = search()
    one = search_plots(trials, curves, space, **WORDS)
    other = search_plots(trials.reverse(), curves.reverse(), space, **WORDS)
    assert [plot.name for plot in one] == NAMES
    for first, second in zip(one, other, strict=True):
        assert isinstance(first, Plot)
        assert isinstance(second, Plot)
        assert first.svg() == second.svg()
        assert first.alt
        assert first.caption == second.caption
        assert first.data.equals(second.data)


def by_hand(trials: pl.DataFrame) -> optuna.Study:
    """The study as one would write it from the space, for the trials that were finished."""
    log = {"alpha": (0.5, 8.0), "beta": (1.0, 16.0), "temperature": (0.07, 1.0)}
    study = optuna.create_study()
    for row in trials.filter(
        pl.col("state") == "finished", pl.col("replicate_of").is_null()
    ).to_dicts():
        config = json.loads(row["config"])
        known: dict[str, Any] = {
            name: optuna.distributions.FloatDistribution(*ends, log=True)
            for name, ends in log.items()
        }
        known["weights"] = optuna.distributions.CategoricalDistribution([True, False])
        known["batch_size"] = optuna.distributions.CategoricalDistribution([16, 32])
        known["depth"] = optuna.distributions.IntDistribution(1, 4)
        if config["weights"]:
            known["label_scale"] = optuna.distributions.FloatDistribution(1.0, 4.0)
        params = {name: config[name] for name in known}
        study.add_trial(
            optuna.trial.create_trial(value=row["error"], params=params, distributions=known)
        )
    return study


@pytest.mark.filterwarnings("ignore::UserWarning:optuna")
def test_importance_is_that_of_optuna_on_the_same_study(search: Any, space: Any) -> None:
    trials, _ = search()
    rows = pl.DataFrame(importances(search_trials(trials, space)))
    study = by_hand(trials)
    judges = {
        "fANOVA": FanovaImportanceEvaluator(seed=0),
        "PED-ANOVA": PedAnovaImportanceEvaluator(target_quantile=5 / len(study.trials)),
    }
    for name, judge in judges.items():
        own = rows.filter(pl.col("evaluator") == name)
        found = dict(zip(own["parameter"], own["importance"], strict=True))
        expected = optuna.importance.get_param_importances(study, evaluator=judge)
        assert found == pytest.approx(expected)
        assert sum(found.values()) == pytest.approx(1)
    assert rows["trials"].unique().to_list() == [22]


def test_the_parameter_that_makes_the_error_is_the_most_important(search: Any, space: Any) -> None:
    first = importances(search_trials(search(n=60)[0], space))[0]
    assert (first["parameter"], first["evaluator"]) == ("temperature", "fANOVA")
    assert first["importance"] > 0.8


def test_only_ped_anova_judges_a_conditional_parameter(search: Any, space: Any) -> None:
    plot = importance_plot(searched(search_trials(search()[0], space)))
    judged = plot.data.filter(pl.col("parameter") == "label_scale")["evaluator"].to_list()
    assert judged == ["PED-ANOVA"]
    assert "fANOVA cannot evaluate label_scale" in plot.caption


def test_without_scikit_learn_the_caption_says_so(
    search: Any, space: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (evidence_importance, evidence_marginals):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    of = search_trials(search(n=40)[0], space)
    plot = importance_plot(searched(of))
    assert plot.data["evaluator"].unique().to_list() == ["PED-ANOVA"]
    assert "needs scikit-learn, which is not installed" in plot.caption
    assert {m.how for m in evidence_marginals.marginals_of(of, ("alpha", "depth"))} == {"binned"}


def test_without_a_space_the_ranges_are_those_of_the_values_tried(search: Any) -> None:
    trials, _ = search()
    of = search_trials(trials, None)
    plot = importance_plot(searched(of))
    assert "The space is not recorded" in plot.caption
    low, high = trials["config"].str.json_path_match("$.alpha").cast(pl.Float64).sort()[[0, -1]]
    alpha = next(s for s in of.parameters if s.name == "alpha")
    assert (alpha.value(0), alpha.value(1)) == pytest.approx((low, high))
    assert alpha.log


def test_a_place_on_a_scale_is_undone_by_its_value(search: Any, space: Any) -> None:
    for parameter in search_trials(search()[0], space).parameters:
        if parameter.options:
            assert [parameter.position(o) for o in parameter.options] == [0, 1]
        else:
            positions = np.linspace(0, 1, 7)
            values = [parameter.value(p) for p in positions]
            assert [parameter.position(v) for v in values] == pytest.approx(positions.tolist())
        assert np.isnan(parameter.position("elsewhere"))


def test_true_is_no_number_among_the_settings(search: Any) -> None:
    trials, _ = search()
    texts = [json.dumps({"mixed": [True, 1, 0.5][i % 3]}) for i in range(trials.height)]
    (parameter,) = search_trials(trials.with_columns(config=pl.Series(texts)), None).parameters
    assert parameter.options == (0.5, 1, True)
    assert [parameter.position(o) for o in parameter.options] == [0, 0.5, 1]


def test_error_against_budget_is_the_running_minimum(search: Any, space: Any) -> None:
    trials, _ = search()
    rows = best_so_far(search_trials(trials, space))
    spent, best, expected = 0, None, []
    for row in trials.sort("trial").to_dicts():
        if row["replicate_of"] is not None:
            continue
        spent += row["epochs"]
        if row["state"] == "finished":
            best = row["error"] if best is None else min(best, row["error"])
        expected.append((row["trial"], spent, best))
    assert rows.select("trial", "spent_epochs", "best_error").rows() == expected


def test_the_shuffled_orders_end_where_the_search_ends(search: Any, space: Any) -> None:
    of = search_trials(search()[0], space)
    bands = shuffled(of)
    assert bands is not None
    epochs, (low, middle, high) = bands
    least = best_so_far(of)["best_error"][-1]
    assert epochs[-1] == best_so_far(of)["spent_epochs"][-1]
    assert low[-1] == middle[-1] == high[-1] == least
    assert (np.diff(np.stack([low, middle, high])) <= 0).all()
    assert (low <= middle).all()
    assert (middle <= high).all()


def test_trials_that_all_have_one_error_leave_no_band_to_speak_of(search: Any, space: Any) -> None:
    bands = shuffled(search_trials(search()[0].with_columns(error=pl.lit(2.0)), space))
    assert bands is not None
    assert (bands[1] == 2.0).all()


def test_learning_curves_are_ranked_by_their_final_error(search: Any, space: Any) -> None:
    trials, curves = search()
    rows = learning_curves(search_trials(trials, space), curves)
    ended = rows.group_by("trial").agg(pl.col("error").last(), pl.col("rank", "state").first())
    done = ended.filter(pl.col("state") == "finished").sort("rank")
    assert done["rank"].to_list() == list(range(1, 23))
    assert done["error"].is_sorted()
    assert ended.filter(pl.col("state") == "pruned")["rank"].to_list() == [None]
    assert rows.height == curves.height - 4, "the parameters trained anew are left out"


def test_a_trial_that_diverged_flattens_no_figure_and_is_said(search: Any, space: Any) -> None:
    trials, curves = search(n=8)
    bad = pl.when(pl.col("trial") == 4).then(pl.col("error") * 1e4).otherwise("error")
    found = plots(trials.with_columns(error=bad), curves.with_columns(error=bad), space)

    usual = curves.filter(pl.col("trial") != 4)["error"].drop_nulls().to_numpy()
    tops = {name: found[name].figure.axes[0].get_ylim()[1] for name in ("curves", "budget")}
    assert max(tops.values()) < 10 * usual.max()
    assert "leaves out what lies above: 2 of 7 trials up to 66028" in found["curves"].caption
    texts = [text.get_text() for text in found["parallel"].figure.axes[0].texts]
    assert any(text.endswith(" and more") for text in texts)


def test_what_was_left_out_is_said(search: Any, space: Any) -> None:
    trials, curves = search(n=8)
    holed = curves.with_columns(error=pl.when(pl.col("epoch") > 1).then("error"))
    found = plots(trials, holed, space)
    assert "Left out: 1 pruned, 1 failed, 1 retrained." in found["parallel"].caption
    lacking = holed.filter(pl.col("error").is_null()).height
    assert f"{lacking} epochs without an error not drawn" in found["curves"].caption


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"trials": 0}, dict.fromkeys(("importance", "budget", "curves"), "There are no trials")),
        ({"trials": 5}, {"importance": "at least 10", "sensitivity": "at least 6"}),
        ({"error": None}, {"budget": "No trial was finished", "parallel": "there are 0 such"}),
        ({"error": float("nan")}, {"budget": "No trial was finished", "importance": "are 0"}),
        ({"error": 2.0}, {"importance": "have the same error"}),
        ({"config": "{}"}, {"importance": "No parameter took", "sensitivity": "none was searched"}),
        ({"config": "{oops"}, {"importance": "trial 0 are not JSON", "curves": "are not JSON"}),
        ({"config": "[1]"}, {"parallel": "no JSON object"}),
        ({"state": "failed"}, {"budget": "No trial was finished"}),
    ],
)
def test_what_cannot_be_shown_says_why(
    search: Any, space: Any, change: dict[str, Any], reasons: dict[str, str]
) -> None:
    trials, curves = search(n=14)
    count = change.pop("trials", None)
    part = trials if count is None else trials.head(count)
    columns = [
        pl.lit(value, dtype=trials.schema[name]).alias(name) for name, value in change.items()
    ]
    found = plots(part.with_columns(columns), curves, space)
    for what, reason in reasons.items():
        assert isinstance(found[what], NotShown)
        assert reason in found[what].reason


def test_trials_of_others_are_left_aside(search: Any, space: Any) -> None:
    mixed = [pl.concat(pair) for pair in zip(search(n=8), search("other", n=8), strict=True)]
    one, other = plots(*search(n=8), space), plots(*mixed, space)
    drawn = [what for what, plot in one.items() if isinstance(plot, Plot)]
    assert len(drawn) == 4
    assert all(one[what].data.equals(other[what].data) for what in drawn)


@pytest.mark.parametrize("broken", [{"x": {}}, {"alpha": {"type": "float", "low": 2, "high": 1}}])
def test_a_space_that_cannot_be_read_counts_as_none(search: Any, broken: Any) -> None:
    trials, _ = search()
    assert search_trials(trials, broken).parameters == search_trials(trials, None).parameters
    assert not search_trials(trials, broken).recorded

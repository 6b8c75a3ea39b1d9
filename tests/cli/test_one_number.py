"""The error called best is one number, wherever it is shown."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from evaluated_runs import Workers, finish, searched_with_errors
from rich.console import Console

import supremix
from supremix.cli.views.search import show_result
from supremix.cli.views.status import status_view
from supremix.progress.progress import Progress
from supremix.progress.webhook import text_of
from supremix.progress.words import best as progress_line
from supremix_reports import MethodRun, comparison_rows
from supremix_reports.report.report import write_report

ERRORS = [1.0, 2.0, 0.9, 3.0, 3.1, 0.9, 0.95]  # the third and, with new seeds, the last two
OPTIONS: dict[str, Any] = {"trials": 3, "finalists": 1, "confirm_seeds": 2, "test_seeds": 2}
SINGLE = "least error of a single training on validation, optimistically biased"
CASES = {
    "on test": (OPTIONS, ERRORS, "mean over 2 seeds on test"),
    "on validation": (OPTIONS | {"test": False}, ERRORS, "mean over 2 new seeds on validation"),
    "a single training": (OPTIONS | {"test": False, "confirm_seeds": 0}, ERRORS[:3], SINGLE),
}


def printed(what: Any) -> str:
    console = Console(file=io.StringIO(), width=400)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined]


def best_of(text: str) -> str:
    """The number that a text calls the error of the best hyperparameters."""
    (number,) = re.findall(
        r"rror of the best hyperparameters(?: \(trial 2\))?(?::| is) ([\d.]+) mm", text
    )
    return str(number)


@dataclass(frozen=True)
class Ended:
    """A run that has ended, and all that is shown of it."""

    case: str
    path: Path
    heard: list[Progress]

    @cached_property
    def result(self) -> supremix.Result:
        return supremix.Result(self.path)

    @cached_property
    def shown(self) -> str:
        console = Console(file=io.StringIO(), width=400)
        show_result(self.result, console)
        return console.file.getvalue()  # type: ignore[attr-defined]

    @property
    def summary(self) -> str:
        return (self.path / "summary.md").read_text()

    def report(self, name: str) -> str:
        return (self.path.parent / "report" / name).read_text()


@pytest.fixture(scope="module", params=CASES)
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run of each case, with its report."""
    folder, (options, errors, _) = tmp_path_factory.mktemp("ended"), CASES[request.param]
    run, heard = searched_with_errors(folder / "run", errors, **options), list[Progress]()
    finish(run, Workers(samples=40, trial0=9.0), heard.append, **options)
    write_report([str(run.path)], str(folder / "report"))
    return Ended(request.param, folder / "run", heard)


def test_every_view_of_a_run_calls_the_same_number_best(ended: Ended) -> None:
    _, _, basis = CASES[ended.case]
    result, found, last = ended.result, supremix.status(ended.path), ended.heard[-1]
    method = MethodRun.read(
        str(ended.path.parent), dataset="hc18", method="l1", run="run", unit="mm", reason=None
    )
    (row,) = comparison_rows([method])
    facts = {name: getattr(last, name) for name in ("best_error", "best_basis", "best_trial")}
    message = {"event": "ended", "run": "run", "dataset": "hc18", "trials": 3, "reason": None}

    numbers = {
        "Result": f"{result.best.error:.4g}",
        "its interval": f"{result.best.interval.value:.4g}",
        "terminal": best_of(ended.shown),
        "summary.md": best_of(ended.summary),
        "report.md": best_of(ended.report("report.md")),
        "report.html": best_of(ended.report("report.html")),
        "comparison": f"{row['test'] or row['val']:.4g}",
        "Status": f"{found.best_error:.4g}",
        "status": re.findall(r"best +([\d.]+) mm", printed(status_view(found)))[0],
        "progress": re.findall(r"best so far ([\d.]+) mm", progress_line(last))[0],
        "webhook": best_of(text_of({**message, **facts, "unit": "mm"})),
    }

    assert set(numbers.values()) == {numbers["Result"]}, numbers
    trials = {result.best.trial, found.best_trial, last.best_trial, row["trial"]}
    assert trials == {2}
    bases = [result.best.basis, found.best_basis, last.best_basis]
    assert all(one.startswith(f"{basis}, 95% interval ") for one in bases)
    assert len(set(bases)) == 1


def test_every_view_of_a_run_says_whether_the_search_beats_its_defaults(ended: Ended) -> None:
    sentence = ended.result.best.against_defaults
    assert sentence.startswith("The search's hyperparameters (trial 2) against the defaults: -")
    verdict = {"a single training": r"over one training each: no verdict: one seed\.$"}
    assert re.search(verdict.get(ended.case, r"over 2 new seeds: better\.$"), sentence)
    for text in (ended.shown, ended.summary, ended.report("report.md")):
        assert sentence in text


def test_every_view_of_a_run_says_whether_its_training_has_flattened(ended: Ended) -> None:
    result = ended.result
    # A report and a summary, which others read, name the run and not its path.
    named = result.best.convergence.replace(str(result.path), "run")

    assert result.convergence is not None
    assert result.convergence.verdict == "cannot be said"
    assert result.best.convergence.startswith(
        "Whether the best training of l1 on hc18 has flattened cannot be said (fewer than 20 "
        f"epochs were evaluated). To train longer: supremix search --resume {result.path} "
        "--epochs 2"
    )
    assert result.best.convergence in ended.shown
    for text in (ended.summary, ended.report("report.md"), ended.report("report.html")):
        assert named in text

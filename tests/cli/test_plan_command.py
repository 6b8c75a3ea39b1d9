from __future__ import annotations

import json
from typing import Any

import pytest
import typer.main

import supremix
from supremix import cli
from supremix.cluster import WorkerGroupPlan
from supremix.errors import SpecError
from supremix.planning.costs import Range, exactly
from supremix.planning.efforts import EffortPlan
from supremix.planning.plan import Plan
from supremix.planning.problems import PlanProblem
from supremix.planning.study_plan import StageSeconds, StudyPlan
from supremix.training.length import Length

WHOLE = Length(epochs=20, steps=1200, images_seen=24000)
TIGHT = PlanProblem(what="the disk is full.", remedy="Free some.")


def study(dataset: str = "ukb-t1", **changes: Any) -> StudyPlan:
    values: dict[str, Any] = {
        "dataset": dataset,
        "method": "supremix",
        "trials": 8,
        "ends_by": "trials",
        "trial": WHOLE,
        "efforts": (
            EffortPlan(name="quick", trials=8, trial=WHOLE, trial_seconds=60.0, seconds=780.0),
        ),
        "epochs": Range(low=40, likely=80, high=160),
        "stages": (StageSeconds(dataset=dataset, stage="pretrain", batch=32, seconds=1.5),),
        "search": Range(low=60, likely=600, high=9000),
        "replicates": 6,
        "replicate_seconds": exactly(300),
        "final_seconds": exactly(60),
        "seconds": Range(low=420, likely=960, high=9360),
        "busy": exactly(2000),
        "gpu_hours": exactly(0),
        "start": 9.0,
        "store": 1 << 20,
        "checkpoints": 3 << 20,
        "records": 40_000,
        "model": 5000,
        "resident": 1 << 30,
        "device": 0,
    }
    return StudyPlan(**(values | changes))


def a_plan(*studies: StudyPlan, problems: tuple[PlanProblem, ...] = (), gpus: float = 0) -> Plan:
    return Plan(
        worker_groups=WorkerGroupPlan(count=2, workers=1, cpus=1, gpus=gpus),
        nodes=1,
        studies=studies or (study(),),
        seconds=Range(low=420, likely=960, high=9360),
        gpu_hours=exactly(1.5 if gpus else 0),
        cpu_hours=exactly(2),
        storage=4 << 20,
        free=9 << 30,
        problems=problems,
    )


class FakePlan:
    """Takes no time, in the place of the real one."""

    def __init__(self) -> None:
        self.called: dict[str, Any] = {}
        self.answer = a_plan()
        self.raises: Exception | None = None

    def __call__(self, **options: Any) -> Plan:
        self.called = options
        if self.raises is not None:
            raise self.raises
        return self.answer


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePlan:
    plan = FakePlan()
    monkeypatch.setattr(supremix, "plan", plan)
    return plan


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(["plan", *words])
    return int(left.value.code or 0)


def options_of(command: str) -> set[str]:
    commands = vars(typer.main.get_command(cli.app))["commands"]
    return {option.opts[0] for option in commands[command].params}


def test_it_takes_the_options_of_a_search() -> None:
    searching, planning = options_of("search"), options_of("plan")

    assert searching - planning <= {"--resume", "--or-resume"}
    assert planning - searching == {"--json"}


def test_they_reach_the_plan(fake: FakePlan) -> None:
    words = ["--dataset", "ukb-t1", "--trials", "8", "--time", "2h", "--shape", "16,16,16"]
    code = run(*words, "--set", "lr=0.1", "--set", "window=3,5", "--gpus-per-worker", "0.5")

    assert code == 0
    wanted = {
        "dataset": "ukb-t1",
        "method": "supremix",
        "trials": 8,
        "time": 7200.0,
        "shape": (16, 16, 16),
        "overrides": ("lr=0.1", "window=3,5"),
        "gpus_per_worker": 0.5,
        "source": None,
    }
    # What is left out keeps the default of the search or of the benchmark, whichever it is.
    assert {name: fake.called[name] for name in fake.called.keys() - {"progress"}} == wanted


def test_several_datasets_and_methods_are_a_list_each(fake: FakePlan) -> None:
    run("--dataset", "ukb-t1, hc18", "--method", "supremix,l1", "--trials", "4")

    assert fake.called["dataset"] == ["ukb-t1", "hc18"]
    assert fake.called["method"] == ["supremix", "l1"]


def test_folders_of_several_datasets_are_told_apart(
    fake: FakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--dataset", "ukb-t1,hc18", "--source", "hc18=a/b, ukb-t1=s3://c", "--trials", "4")
    assert fake.called["source"] == {"hc18": "a/b", "ukb-t1": "s3://c"}

    run("--dataset", "ukb-t1,hc18", "--source", "phantom", "--trials", "4")
    assert fake.called["source"] == {"ukb-t1": "phantom", "hc18": "phantom"}

    assert run("--dataset", "ukb-t1,hc18", "--source", "a/b", "--trials", "4") == 2
    assert "ukb-t1=FOLDER" in capsys.readouterr().err


def test_a_comma_too_many_is_refused(fake: FakePlan, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--dataset", "ukb-t1", "--method", "l1,", "--trials", "4") == 2
    assert "has a comma too many" in capsys.readouterr().err


def test_without_a_dataset_there_is_nothing_to_plan(
    fake: FakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--trials", "4") == 2
    assert "name a dataset" in capsys.readouterr().err


def test_what_cannot_be_searched_is_the_users_error(
    fake: FakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.raises = SpecError("no such thing")

    assert run("--dataset", "ukb-t1", "--trials", "4") == 2
    assert "no such thing" in capsys.readouterr().err


def test_the_plan_is_shown(fake: FakePlan, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--dataset", "ukb-t1", "--trials", "8") == 0

    shown = " ".join(capsys.readouterr().out.split())
    for line in (
        "machine 2 worker group(s) of 1 worker(s) with 1 CPU each, on 1 node(s)",
        "supremix on ukb-t1",
        "trials 8, all that are asked for",
        "a whole trial 20 epochs, 1,200 steps, 24,000 images seen",
        "epochs about 80, 10.0 a trial; at most 160",
        "effort quick 8 trials of 20 epochs, 1,200 steps, 24,000 images seen; 60 s each, 13 min in "
        "all if none is stopped early",
        "an epoch 1.50 s of pretrain on ukb-t1, batch 32",
        "trials' time about 10 min (60 s to 2.5 h)",
        "new seeds 6 training(s) of the best and the defaults, 5 min",
        "final model 60 s",
        "images 1.0 MiB, checkpoints 3.0 MiB",
        "a worker 1.0 GiB of memory at most",
        "wall time about 16 min (7 min to 2.6 h)",
        "GPU hours 0; CPU hours about 2 (2 to 2)",
        "run folder 4.0 MiB of 9.0 GiB that are free",
        "all of it fits",
    ):
        assert line in shown


def test_several_searches_are_a_block_each_and_a_sum(
    fake: FakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answer = a_plan(study("ukb-t1"), study("hc18"), gpus=1)
    run("--dataset", "ukb-t1,hc18", "--trials", "8")

    shown = capsys.readouterr().out
    places = [shown.index(f"supremix on {name}") for name in ("ukb-t1", "hc18")]
    assert places[0] < places[1] < shown.index("all together") < shown.index("GPU hours")
    assert "about 1.5 (1.5 to 1.5)" in shown


def test_what_does_not_fit_is_named_and_ends_with_1(
    fake: FakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answer = a_plan(problems=(TIGHT,))

    assert run("--dataset", "ukb-t1", "--trials", "8") == 1
    assert "what does not fit\n- the disk is full. Free some." in capsys.readouterr().out


def test_as_json(fake: FakePlan, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answer = a_plan(problems=(TIGHT,))

    assert run("--dataset", "ukb-t1", "--trials", "8", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] is False
    assert found["problems"] == [{"what": "the disk is full.", "remedy": "Free some."}]
    assert found["studies"][0]["epochs"] == {"low": 40, "likely": 80, "high": 160}

"""The arithmetic of a plan, against simulated searches and sums done by hand."""

from __future__ import annotations

import dataclasses
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import supremix
import supremix_datasets
from supremix.cluster import WorkerGroupPlan
from supremix.errors import SpecError, TrainingError
from supremix.planning import calibration as planning_calibration
from supremix.planning import measure as measure_module
from supremix.planning import plan as planning
from supremix.planning.calibration import Calibration, Measured, space_batches
from supremix.planning.costs import (
    TrialCosts,
    draw,
    epoch_seconds,
    exactly,
    stage_seconds,
    training_seconds,
    trial_seconds,
    whole_trial,
)
from supremix.planning.estimate import Limit, SearchEstimate
from supremix.planning.measure import EpochCost
from supremix.planning.problems import (
    budget_problems,
    describe_bytes,
    describe_time,
    disk_problems,
    memory_problems,
    planned_workers,
)
from supremix.planning.study_plan import CalibratedSearch, StudyPlan, over_folds
from supremix.planning.study_plan import _bytes as planned_bytes
from supremix.search.spec import SearchSpec
from supremix.training import Solo, Stage, Task, get_method
from supremix.training.length import Length
from supremix.tuning.study.budget import Budget
from supremix_spaces import Choice, Fixed, Float, Int, Space, space_for

GIB = 1 << 30
LIMITS: tuple[Limit, ...] = ("time", "gpu_hours")


def measured(batch: int, pretrain: float, regress: float, more: float = 0.0) -> Measured:
    return Measured(
        batch=batch,
        timed=True,
        epochs=(
            EpochCost(objective="contrastive", stage="pretrain", batch=batch, seconds=pretrain),
            EpochCost(
                objective="regression",
                stage="regress",
                batch=batch // 2,
                seconds=regress,
                more=more,
            ),
        ),
        setup=2.0,
        save=0.5,
        checkpoint=1000,
        model=300,
        row=200,
        resident=2 * GIB,
        device=0,
        device_total=0,
    )


def calibration(*more: Measured, **changes: Any) -> Calibration:
    found = Calibration(
        measured=(measured(32, 4.0, 1.0), *more), resident=2 * GIB, device=0, start=10.0
    )
    return dataclasses.replace(found, **changes)


def stage(objective: Any, epochs: int, batch: int) -> Stage:
    loss = None if objective == "probe" else torch.nn.functional.l1_loss
    return Stage(
        name=objective,
        objective=objective,
        epochs=epochs,
        batch_size=batch,
        loss=loss,
        lr=0.1,
    )


def test_an_epoch_between_two_batches_costs_by_its_steps() -> None:
    # 1 s for the images and 128/batch s for the steps
    known = calibration(measured(16, 9.0, 1.0), measured(64, 3.0, 1.0))
    known = dataclasses.replace(known, measured=(measured(32, 5.0, 1.0), *known.measured[1:]))

    assert epoch_seconds(known, "contrastive", 20)[0] == pytest.approx(1 + 128 / 20)
    assert epoch_seconds(known, "contrastive", 48)[0] == pytest.approx(1 + 128 / 48)


def test_beyond_the_measured_batches_an_epoch_costs_what_the_nearest_does() -> None:
    known = calibration(measured(16, 9.0, 1.0))

    assert epoch_seconds(known, "contrastive", 8)[0] == 9.0
    assert epoch_seconds(known, "contrastive", 256)[0] == 4.0


def test_a_kind_of_epoch_that_was_not_met_counts_as_the_dearest() -> None:
    assert epoch_seconds(calibration(), "probe", 32) == (4.0, 0.0)


def test_a_trial_costs_its_stages() -> None:
    known = calibration(measured=(measured(32, 4.0, 1.0, more=0.25),))
    stages = [stage("contrastive", 2, 32), stage("regression", 3, 16)]

    assert stage_seconds(known, stages, 5) == [4, 4, 1, 1, 1.25]


def costs(dataset: str = "hc18", epochs: int = 20) -> TrialCosts:
    card = supremix_datasets.get(dataset).card
    space = space_for("supremix", window=card.window, label_bin=card.label_bin, train_size=500)
    method = get_method("supremix")
    return TrialCosts(
        calibration=calibration(), method=method, space=space, card=card, epochs=epochs
    )


def test_a_whole_trial_costs_what_configurations_of_the_space_do() -> None:
    found = whole_trial([costs()])

    assert 20 * 1.0 < found.low < found.likely < found.high <= 20 * 4.0
    configs = [costs().space.defaults(), *draw(costs().space, 100)]
    totals = [sum(costs().seconds(config)) for config in configs]
    assert found.likely == pytest.approx(sum(totals) / 101)
    assert sum(total < found.low for total in totals) == pytest.approx(10, abs=5)


def test_a_joint_trial_goes_on_from_dataset_to_dataset() -> None:
    both = [costs("hc18", 4), costs("ukb-t1", 6)]
    config = both[0].space.defaults()

    assert len(trial_seconds(both, config)) == 10
    assert trial_seconds(both, config)[:4] == both[0].seconds(config)


def test_a_configuration_that_a_trial_would_fail_with_costs_what_the_defaults_do() -> None:
    one = costs()
    assert one.seconds({**one.space.defaults(), "lr": -1.0}) == one.seconds(one.space.defaults())


def test_settings_drawn_are_of_the_space_and_always_the_same() -> None:
    space = Space({"lr": Float(1e-4, 1e-2, log=True), "batch_size": Choice((16, 32))})

    drawn = draw(space, 20)
    assert drawn == draw(space, 20)
    assert {config["batch_size"] for config in drawn} == {16, 32}
    assert all(space.check(config) == config for config in drawn)


@pytest.mark.parametrize(
    ("parameter", "batches"),
    [(Fixed(8), [8]), (Choice((64, 16, 32)), [16, 32, 64]), (Int(4, 9), [4, 9])],
)
def test_the_batches_of_a_space(parameter: Any, batches: list[int]) -> None:
    assert space_batches(Space({"batch_size": parameter})) == batches
    assert space_batches(Space({"lr": Fixed(0.1)})) == []


def worker_groups(count: int = 2, *, gpus: float = 0.0, cpus: float = 1.0) -> WorkerGroupPlan:
    return WorkerGroupPlan(count=count, workers=1, cpus=cpus, gpus=gpus)


def needed(trials: int, seconds: float = 3600.0) -> SearchEstimate:
    return SearchEstimate(
        trials=trials,
        ends_by="trials",
        epochs=exactly(1),
        seconds=exactly(seconds),
        busy=exactly(2 * seconds),
        replicates=0,
        replicate_seconds=exactly(0),
        replicate_busy=exactly(0),
    )


def test_a_budget_that_is_too_tight_is_told_with_the_one_that_is_not() -> None:
    budget = Budget(trials=40, seconds=600, gpu_hours=9)
    told = [
        str(problem)
        for ends_by in LIMITS
        for problem in budget_problems(
            "l1 on x", budget, 7, ends_by, needed(40), 60.0, worker_groups(gpus=2)
        )
    ]

    assert told == [
        "l1 on x: of 40 trials about 7 will be done when the time is used up. "
        "Give --time 67m, or --trials 7.",
        "l1 on x: of 40 trials about 7 will be done when the GPU hours are used up. "
        "Give --gpu-hours 4.4, or --trials 7.",
    ]


@pytest.mark.parametrize(
    ("budget", "option"), [(Budget(seconds=50), "--time"), (Budget(gpu_hours=0.02), "--gpu-hours")]
)
def test_a_budget_below_one_trial_is_told(budget: Budget, option: str) -> None:
    plan = worker_groups(gpus=2)
    (problem,) = budget_problems("l1 on x", budget, 1, "time", None, 60.0, plan)

    assert f"a whole one takes about 60 s and {option} leaves it" in problem.what


def test_a_budget_that_is_enough_is_no_problem() -> None:
    budget = Budget(trials=4, seconds=600)
    enough = budget_problems("l1 on x", budget, 4, "trials", None, 60.0, worker_groups())

    assert list(enough) == []


def test_workers_that_fill_a_nodes_memory_are_told() -> None:
    nodes = [{"CPU": 8.0, "memory": 3.0 * GIB, "object_store_memory": 2.0 * GIB}]

    assert list(memory_problems("l1 on x", worker_groups(2), nodes, calibration())) == []
    (problem,) = memory_problems("l1 on x", worker_groups(3), nodes, calibration())
    assert "3 worker(s) with 2.0 GiB each need more memory than the 5.0 GiB" in problem.what
    assert "at most 2 of them" in problem.remedy


def test_workers_that_share_a_gpu_share_its_memory() -> None:
    one = dataclasses.replace(measured(32, 1, 1), device_total=8 * GIB)
    known = calibration(measured=(one,), device=5 * GIB)

    assert list(memory_problems("l1 on x", worker_groups(gpus=1), [], known)) == []
    (problem,) = memory_problems("l1 on x", worker_groups(gpus=0.5), [], known)
    assert "2 worker(s) on a GPU need 10.0 GiB of its 8.0 GiB" in problem.what


def test_a_batch_that_could_not_be_trained_is_told() -> None:
    known = calibration(failed=((256, "OutOfMemoryError: CUDA out of memory"),))

    (problem,) = memory_problems("l1 on x", worker_groups(), [], known)
    assert "batch_size=256 would fail: OutOfMemoryError" in problem.what
    assert "--chunk" in problem.remedy


@pytest.mark.parametrize(
    ("node", "plan", "workers"),
    [
        ({"CPU": 8.0}, worker_groups(20), 8),
        ({"CPU": 8.0}, worker_groups(3), 3),
        ({"CPU": 8.0, "GPU": 1.0}, worker_groups(20, gpus=0.1), 8),
        ({"CPU": 8.0, "GPU": 1.0}, worker_groups(20, gpus=0.5), 2),
        ({"CPU": 8.0}, worker_groups(20, gpus=0.5), 0),
        # What is left of one GPU and of another does not make a share.
        ({"CPU": 96.0, "GPU": 8.0}, worker_groups(20, gpus=0.4), 16),
        # Whole groups, unless they may be over several nodes.
        ({"CPU": 8.0}, dataclasses.replace(worker_groups(20), workers=3), 6),
        ({"CPU": 8.0}, dataclasses.replace(worker_groups(20), workers=3, span_nodes=True), 8),
    ],
)
def test_how_many_workers_a_node_gets(
    node: dict[str, float], plan: WorkerGroupPlan, workers: int
) -> None:
    assert planned_workers(node, plan) == workers


def test_a_disk_that_is_too_small_is_told(tmp_path: Any) -> None:
    run = f"{tmp_path}/not/yet/there"

    assert list(disk_problems(run, 10)) == []
    (problem,) = disk_problems(run, 1e18)
    assert "the run needs about 909494.7 TiB" in problem.what
    assert list(disk_problems("s3://bucket/run", 1e18)) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (119, "119 s"), (150, "2 min"), (7199, "120 min"), (9000, "2.5 h"),
     (172800, "2.0 days")],
)  # fmt: skip
def test_times_in_words(seconds: float, text: str) -> None:
    assert describe_time(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (2048, "2 KiB"), (3.5 * 2**20, "3.5 MiB"), (2**40, "1.0 TiB")]
)
def test_sizes_in_words(count: float, text: str) -> None:
    assert describe_bytes(count) == text


def test_what_no_search_does_is_not_planned() -> None:
    with pytest.raises(SpecError, match="objective 'joint' is for one method; got 2"):
        supremix.plan(["ukb-t1", "hcp-aging"], method=["l1", "rnc"], objective="joint", trials=2)
    with pytest.raises(SpecError, match="objective 'joint' is for several datasets"):
        supremix.plan("ukb-t1", objective="joint", trials=2)
    with pytest.raises(SpecError, match="both give the length of a trial"):
        supremix.plan("ukb-t1", epochs=3, images_seen="1k")


def test_several_methods_on_several_datasets_are_planned_as_a_benchmark() -> None:
    options = {"trials": 2, "test_seeds": 4}
    specs = planning._specs(["ukb-t1", "hcp-aging"], None, ["l1", "rnc"], "per-dataset", options)
    benchmark = supremix.Benchmark(["ukb-t1", "hcp-aging"], methods=["l1", "rnc"], **options)
    assert specs == benchmark.specs


def test_a_gang_that_dies_of_one_batch_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space({"batch_size": Choice((16, 32, 64), default=32)})
    asked: list[list[Any]] = []

    def worker_group(work: Any, request: Any, plan: WorkerGroupPlan) -> dict[str, Any]:
        batches = [config["batch_size"] for config in request.configs]
        asked.append(batches)
        if 64 in batches:
            raise TrainingError("a worker was killed for want of memory")
        found = [dataclasses.asdict(measured(batch, 2.0, 1.0)) for batch in batches]
        return {"found": found, "spent": 3.0}

    monkeypatch.setattr(planning_calibration, "run_once", worker_group)
    found = planning_calibration.calibrate(Task(store="somewhere"), space, worker_groups())

    assert asked == [[32, 64, 16], [32], [64], [16]]
    assert [one.batch for one in found.measured] == [32, 16]
    assert found.failed == ((64, "a worker was killed for want of memory"),)


@pytest.mark.parametrize(
    ("method", "heads"),
    [
        ("supremix-published", ["probe", "finetune"]),
        ("rnc-published", ["finetune"]),
        ("l1", [None]),
    ],
)
def test_a_fine_tuning_that_the_defaults_lack_is_timed_as_well(
    method: str, heads: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def worker_group(work: Any, request: Any, plan: WorkerGroupPlan) -> dict[str, Any]:
        asked.extend(request.configs)
        ones = [dataclasses.asdict(measured(c["batch_size"], 2.0, 1.0)) for c in request.configs]
        return {"found": ones, "spent": 3.0}

    monkeypatch.setattr(planning_calibration, "run_once", worker_group)
    space = space_for(method, window=5.0, label_bin=1.0, train_size=500)
    planning_calibration.calibrate(Task(store="somewhere"), space, worker_groups())
    default = space.defaults()["batch_size"]
    own = [config.get("head") for config in asked if config["batch_size"] == default]
    assert own == heads
    for config in asked:
        assert ("finetune_lr" in config) == (config.get("head") == "finetune")


@pytest.mark.parametrize(
    ("options", "networks"),
    [({}, 1), ({"test_seeds": 3}, 3), ({"test": False, "confirm_seeds": 2}, 2),
     ({"test": False, "confirm_seeds": 0}, 1)],
)  # fmt: skip
def test_the_models_of_all_seeds_and_datasets_are_counted(
    options: dict[str, Any], networks: int, tmp_path: Any
) -> None:
    known = {"effort": "standard", "confirm_seeds": 0, "trials": 2} | options
    search: Any = SimpleNamespace(
        spec=SearchSpec(dataset="ukb-t1", **known), calibration=calibration(), costs=costs(),
        images={"train": 60, "val": 20, "test": 20},
        resources=SimpleNamespace(store=SimpleNamespace(path=tmp_path)),
    )  # fmt: skip
    found = planned_bytes([search, search], needed(2), worker_groups())
    assert found["model"] == 2 * networks * 300


def test_without_the_defaults_there_is_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def worker_group(work: Any, request: Any, plan: WorkerGroupPlan) -> dict[str, Any]:
        raise TrainingError("no GPU answers")

    monkeypatch.setattr(planning_calibration, "run_once", worker_group)
    with pytest.raises(TrainingError, match="no GPU answers"):
        planning_calibration.calibrate(
            Task(store="somewhere"), Space({"batch_size": Fixed(8)}), worker_groups()
        )


def test_a_worker_that_is_measured_holds_one_run_at_a_time(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker of a search does: the memory of two would be planned for."""

    class Run(SimpleNamespace):
        """Something that can be referred to weakly."""

    known: list[weakref.ref[Any]] = []

    def train(*rest: Any, epochs: int) -> tuple[Run, float]:
        assert [run() for run in known] == [None] * len(known)
        run = Run(history=[{}], device=torch.device("cpu"))
        known.append(weakref.ref(run))
        return run, 0.0

    monkeypatch.setattr(measure_module, "_train", train)
    monkeypatch.setattr(measure_module, "_epochs", lambda run: [{"seconds": 1.0}])
    monkeypatch.setattr(measure_module, "_write", lambda run, folder: {})
    request = measure_module.MeasureRequest(task=task, configs=({"batch_size": 8},) * 2)

    measure_module.measure(Solo(), torch.device("cpu"), request)

    assert len(known) == 4  # each is trained once more when it is warm


def folds_plan(**spec: Any) -> tuple[StudyPlan, list[CalibratedSearch]]:
    """The plan of one search of 100 s on 2 worker groups, and what it was made of."""
    numbers = dict.fromkeys(
        ("start", "store", "checkpoints", "records", "model", "resident", "device", "replicates"), 1
    )
    seconds = dict.fromkeys(
        ("search", "replicate_seconds", "final_seconds", "gpu_hours"), exactly(0.0)
    )
    study: Any = StudyPlan(
        dataset="hc18", method="supremix", trials=4, ends_by="trials", trial=Length(), efforts=(),
        epochs=exactly(80.0), stages=(), seconds=exactly(100.0), busy=exactly(200.0), **seconds,
        **numbers,
    )  # fmt: skip
    search: Any = SimpleNamespace(
        spec=SearchSpec(dataset="ukb-t1", **spec), costs=costs(), final_costs=costs(),
        images={"train": 60, "val": 20},
    )  # fmt: skip
    return study, [search]


def test_the_plan_of_folds_is_that_of_all_their_searches() -> None:
    study, searches = folds_plan()
    assert over_folds(study, searches, worker_groups()) == study

    study, searches = folds_plan(folds=5, repeats=2)
    found = over_folds(study, searches, worker_groups(gpus=1))
    assert (found.folds, found.trials) == (10, 4)
    assert found.seconds.likely == pytest.approx(1000)
    assert found.gpu_hours.likely == pytest.approx(2000 / 3600)
    assert found.storage == 10 * study.storage


def test_folds_that_are_searched_once_take_one_search_and_two_trainings_each() -> None:
    study, searches = folds_plan(folds=5, search_once=True, test_seeds=2)
    found = over_folds(study, searches, worker_groups())
    training = training_seconds([costs()]).likely
    others = 4 * training * (1 + 2 * 80 / 60)
    assert found.busy.likely == pytest.approx(200 + others)
    assert found.seconds.likely == pytest.approx(100 + others / 2)

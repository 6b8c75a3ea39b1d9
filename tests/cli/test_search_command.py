from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

import supremix
from supremix import cli, errors
from supremix._errors import ConfigError, TaskError
from supremix.runs.folder import RunFolder
from supremix.search.search import Search as API


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_every_option_reaches_the_search(fake: Any) -> None:
    code = run(
        "search", "--dataset", "hc18", "--source", "there", "--method", "l1", "--trials", "4",
        "--effort", "quick", "--images-seen", "1.2M", "--final-images-seen", "2M",
        "--time", "1h", "--epochs", "9", "--seed", "3", "--space", "s.toml", "--set", "lr=0.1",
        "--set", "window=3,5", "--point", "lr=0.2,window=5",
        "--workers", "2", "--concurrent-trials", "3",
        "--cpus-per-worker", "1.5", "--gpus-per-worker", "0.5", "--address", "auto", "--out", "o",
        "--sampler", "gp", "--pruner", "none", "--no-test", "--cache", "c", "--stores", "s3://b/s",
        "--precision", "bf16", "--deterministic", "--compile", "--span-nodes",
        "--shape", "32,48", "--phantoms", "40", "--split-seed", "5", "--grace", "2",
        "--reduction", "4", "--fractions", "0.5,0.3,0.2", "--keep-copies-together",
        "--encoder", "densenet", "--width", "8", "--depth", "2", "--norm", "group", "--chunk", "4",
        "--shortcut", "B", "--label-fraction", "0.1", "--pretrained", "runs/a",
        "--min-matched", "0.7",
        "--gpu-hours", "8", "--finalists", "2", "--confirm-seeds", "4", "--warm-start",
        "--epoch-limit", "5m", "--test-seeds", "5",
        "--wheel", "s.whl", "--tensorboard", "t", "--mlflow", "sqlite:///m",
        "--wandb", "lab/ages", "--stall", "2h",
        "--webhook", "https://hooks/x",
    )  # fmt: skip

    del fake.called["progress"]
    assert code == 0
    assert fake.called == {
        "dataset": "hc18", "source": "there", "method": "l1", "trials": 4, "time": 3600.0,
        "effort": "quick", "images_seen": 1_200_000, "final_images_seen": 2_000_000,
        "epochs": 9, "seed": 3, "space": "s.toml", "overrides": ("lr=0.1", "window=3,5"),
        "points": ("lr=0.2,window=5",),
        "workers": 2, "concurrent_trials": 3, "cpus_per_worker": 1.5, "gpus_per_worker": 0.5,
        "address": "auto", "out": "o", "sampler": "gp", "pruner": "none",
        "test": False, "cache": "c", "stores": "s3://b/s",
        "precision": "bf16", "deterministic": True, "compile": True, "span_nodes": True,
        "shape": (32, 48),
        "phantoms": 40, "split_seed": 5, "grace": 2,
        "reduction": 4.0, "fractions": (0.5, 0.3, 0.2), "keep_copies_together": True,
        "encoder": "densenet", "width": 8, "depth": 2, "norm": "group", "chunk": 4,
        "shortcut": "B", "label_fraction": 0.1, "pretrained": "runs/a", "min_matched": 0.7,
        # Folds take no --no-test.
        "folds": None, "repeats": 1, "stratify_by_site": False, "search_once": False,
        "gpu_hours": 8.0, "finalists": 2, "confirm_seeds": 4, "test_seeds": 5, "warm_start": True,
        "epoch_limit": 300.0,
        "wheel": "s.whl", "tensorboard": "t", "mlflow": "sqlite:///m",
        "wandb": "lab/ages", "stall": 7200.0,
        "webhook": "https://hooks/x",
    }  # fmt: skip


def test_defaults_are_those_of_the_api(fake: Any) -> None:
    run("search", "--dataset", "hc18")

    signature = inspect.signature(API).parameters
    given = {"dataset", "progress"}
    expected = {name: signature[name].default for name in fake.called.keys() - given}
    assert {name: fake.called[name] for name in expected} == expected


def test_the_result_is_told(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (fake.path / "summary.md").touch()

    run("search", "--dataset", "hc18")

    told = capsys.readouterr().out
    lines = [line.split() for line in told.splitlines()]
    ranks = [line[:4] for line in lines if line and line[0].isdigit()]
    assert ranks == [
        ["1", "2", "finished", "3.125"],
        ["2", "1", "finished", "4.250"],
        ["3", "0", "pruned", "1.500"],
        ["4", "3", "failed", "-"],
    ]
    assert "error of the best hyperparameters: 3.5 mm (on test; 20 images of 15 groups)" in told
    assert "\nNo difference shown." in told
    assert "the least of them is optimistically biased" in told
    assert f"everything is in {fake.path}" in told
    assert "summary.md" in told
    assert "curves.parquet" not in told


def test_a_model_without_skill_is_said_to_have_none(
    fake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run("search", "--dataset", "hc18")

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    start = lines.index("model validation (mm) test (mm) skill")
    assert lines[start + 1] == "l1 3.5 (3 to 4) 3.5 (3 to 4) -0.17 (-0.40 to 0.10)"
    assert lines[start + 2] == "training median 3 (2.5 to 3.5) 3 (2.5 to 3.5) –"
    assert lines[start + 6] == (
        "l1 on hc18 (test) shows no skill: its error is 3.5 mm, that of predicting the training "
        "median 3 (skill -0.17, 95 % interval -0.40 to 0.10)."
    )


def test_without_a_test_the_skill_is_that_on_validation(
    fake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.tested = False

    run("search", "--dataset", "hc18", "--no-test")

    assert "l1 on hc18 (validation) shows no skill" in capsys.readouterr().out


def test_without_a_verdict_none_is_told(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fake.tested = False

    run("search", "--dataset", "hc18", "--no-test")

    assert "not measured" in capsys.readouterr().out


def test_progress_is_told_on_stderr(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run("search", "--dataset", "hc18")

    told = capsys.readouterr()
    assert "preparing images 50 of 100" in told.err
    assert (
        "1 of 4 trials done (1 stopped early), 2 running · best so far 4.25 mm (trial 1)"
        in told.err
    )
    assert "1:00 elapsed, about 3:00 left" in told.err
    assert "elapsed" not in told.out


def test_quiet_shows_the_result_only(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run("search", "--dataset", "hc18", "--quiet")

    told = capsys.readouterr()
    assert told.err == ""
    assert "everything is in" in told.out


def test_a_run_is_resumed(fake: Any) -> None:
    assert run("search", "--resume", "runs/x") == 0
    assert fake.resumed == "runs/x"


def test_a_resumed_run_takes_no_new_specification(
    fake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("search", "--resume", "runs/x", "--set", "lr=1") == 2
    assert "leave out --set" in capsys.readouterr().err
    assert fake.resumed is None


def test_a_resumed_run_is_told_where_it_runs_now(fake: Any) -> None:
    assert run("search", "--resume", "runs/x", "--address", "new:6379", "--wheel", "w.whl") == 0
    del fake.called["progress"]
    # What is not said stays as it was.
    assert fake.called == {"address": "new:6379", "wheel": "w.whl"}


def test_a_job_that_starts_again_takes_the_place_of_the_new_command_and_no_more(
    fake: Any, tmp_path: Path
) -> None:
    words = ["--dataset", "hc18", "--out", str(tmp_path / "run"), "--or-resume", "--cache", "c"]
    assert run("search", *words, "--address", "old:6379", "--trials", "3") == 0
    assert (fake.resumed, fake.called["trials"], fake.called["address"]) == (None, 3, "old:6379")

    RunFolder(tmp_path / "run").create({})
    assert run("search", *words, "--address", "new:6379", "--trials", "4") == 0
    assert fake.resumed == str(tmp_path / "run")
    del fake.called["progress"]
    assert fake.called == {"address": "new:6379", "wheel": None, "cache": "c"}

    assert run("search", *words) == 0
    assert fake.called["address"] is None  # this machine


def test_only_the_place_of_a_specification_may_be_another(tmp_path: Path) -> None:
    specified = API("hc18", "there", "l1", trials=3, out=tmp_path, address="old:6379", wheel="w")
    RunFolder(tmp_path).create(specified.spec.to_dict())

    resumed = API.resume(tmp_path, address=None, cache=Path("c")).spec

    assert resumed == dataclasses.replace(specified.spec, address=None, cache="c")
    with pytest.raises(errors.SpecError, match="takes no trials"):
        API.resume(tmp_path, trials=4)


def test_every_dataset_of_a_search_goes_on_in_the_new_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise errors.SearchInterrupted(str(tmp_path))

    monkeypatch.setattr("supremix.benchmark.driver.run_searches", interrupt)
    datasets = ("hc18", "rsna-bone-age")
    options: dict[str, Any] = {"trials": 3, "out": tmp_path / "run", "address": "old:6379"}
    search = supremix.MultiDatasetSearch(
        datasets, dict.fromkeys(datasets, "there"), "l1", **options
    )
    with pytest.raises(errors.SearchInterrupted):
        search.run()

    elsewhere = supremix.MultiDatasetSearch.resume(tmp_path / "run", address="new:6379")
    replaced = [dataclasses.replace(spec, address="new:6379") for spec in search.specs]
    assert list(elsewhere.specs) == replaced


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SpecError("no such thing"), 2),
        (errors.ResourceError("too many workers"), 2),
        (errors.SearchFailedError("every trial failed"), 1),
        (errors.TrainingError("not a number"), 1),
        (TaskError("no model to start from"), 2),
        (ConfigError("no such parameter"), 2),
        (errors.SearchInterrupted("runs/x"), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_a_short_message_and_a_code(
    fake: Any, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    fake.raises = error

    assert run("search", "--dataset", "hc18") == code
    told = capsys.readouterr().err
    assert str(error) in told
    assert "Traceback" not in told


def test_an_error_of_ours_keeps_its_traceback(fake: Any) -> None:
    fake.raises = ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main(["search", "--dataset", "hc18"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trials", "3"], "name a dataset"),
        (["--dataset", "a", "--time", "soon"], "write it like 30m"),
        (["--dataset", "a", "--shape", "3,b"], "two or three whole numbers"),
        (["--dataset", "a", "--bogus"], "No such option"),
    ],
)
def test_a_wrong_word_says_what_to_write(
    fake: Any, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run("search", *words) == 2
    assert message in capsys.readouterr().err
    assert fake.called == {}

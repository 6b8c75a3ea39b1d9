"""The commands and options people type: they change on purpose only."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer.main

from supremix import cli

SURFACE = {
    "search": {
        "--dataset", "--source", "--shape", "--phantoms", "--split-seed", "--label-fraction",
        "--keep-copies-together", "--folds", "--repeats", "--stratify-by-site", "--search-once",
        "--fractions", "--method", "--space", "--set", "--point", "--seed", "--objective",
        "--warm-start", "--test",
        "--effort", "--trials", "--time", "--gpu-hours", "--epochs", "--images-seen",
        "--final-images-seen", "--sampler", "--pruner",
        "--grace", "--reduction",
        "--finalists", "--confirm-seeds", "--test-seeds",
        "--encoder", "--width", "--depth", "--norm", "--shortcut", "--precision", "--chunk",
        "--pretrained", "--min-matched", "--deterministic", "--compile",
        "--workers", "--concurrent-trials", "--cpus-per-worker", "--gpus-per-worker",
        "--span-nodes", "--epoch-limit", "--address", "--wheel", "--cache", "--stores",
        "--tensorboard", "--mlflow", "--wandb", "--webhook", "--stall",
        "--out", "--resume", "--or-resume", "--quiet", "--dry-run", "request",
    },
    "joint": {
        "--dataset", "--source", "--shape", "--phantoms", "--split-seed", "--fractions",
        "--keep-copies-together",
        "--method", "--set", "--seed", "--effort", "--epochs", "--images-seen", "--alone",
        "--encoder", "--width", "--depth", "--norm", "--shortcut", "--precision",
        "--workers", "--cpus-per-worker", "--gpus-per-worker", "--span-nodes", "--address",
        "--cache", "--stores", "--out", "--quiet", "--dry-run", "request",
    },
    "prepare": {
        "--dataset", "--source", "--shape", "--cache", "--stores", "--address", "--quiet",
        "--dry-run", "request",
    },
    "check": {
        "dataset", "--source", "--full", "--out", "--shape", "--cache", "--address", "--quiet",
    },
    "datasets": {"name", "--source"},
    "phantom": {"dataset", "--out", "--n", "--seed", "--quiet"},
    "predict": {
        "model", "images", "--pixel-size", "--with", "--out", "--explain", "--maps", "--interval",
        "--interval-method", "--correct-bias", "--ensemble", "--batch", "--workers", "--device",
        "--quiet",
    },
    "evaluate": {
        "model", "--dataset", "--source", "--out", "--ids", "--interval", "--interval-method",
        "--correct-bias", "--ensemble", "--batch", "--workers", "--device", "--quiet",
    },
    "export": {
        "model", "--format", "--out", "--licence", "--intended-use", "--authors", "--ensemble",
    },
    "status": {"run", "--trial", "--json"},
    "watch": {"run", "--interval"},
    "results": {"runs", "--table", "--where", "--columns", "--sql", "--format", "--out"},
    "report": {
        "runs", "--out", "--reference", "--split", "--title", "--ids", "--paths", "--with-images",
        "--correct-bias", "--formats",
    },
    "compare": {"runs", "--split", "--format", "--paths"},
    "dashboard": {"run", "--port", "--host", "--interval", "--journal"},
}  # fmt: skip
SURFACE["benchmark"] = SURFACE["search"] - {"--objective", "--warm-start", "--test"} | {
    "--reference", "--external", "--report",
}  # fmt: skip
SURFACE["plan"] = SURFACE["search"] - {"--resume", "--or-resume"} | {"--json"}


def test_the_commands_and_their_options() -> None:
    commands = vars(typer.main.get_command(cli.app))["commands"]
    found = {
        name: {option.opts[0] for option in command.params} for name, command in commands.items()
    }

    assert found == SURFACE


@pytest.mark.parametrize("command", SURFACE)
def test_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])

    assert f"  supremix {command}" in capsys.readouterr().out


def test_help_imports_no_room() -> None:
    program = (
        "import sys; from supremix import cli\n"
        "try: cli.main(['search', '--help'])\n"
        "except SystemExit: print(sorted({'ray', 'torch', 'monai', 'polars'} & {*sys.modules}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"

"""The command line, the page of options and an option that is added: all from one declaration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import supremix
from supremix import cli
from supremix.cli.parsing.options_page import options_page
from supremix.search.request.declaration import command_options
from supremix.search.request.option import COMMANDS, Command, with_flags

PACKAGE = Path(supremix.__file__).parent
REPOSITORY = Path(__file__).resolve().parents[2]

ADDED = """
    dropout: float = option(
        0.0,
        help="Fraction of the features that are dropped.",
        group=MODEL,
        commands=TRAININGS,
        least=0,
        most=1,
    )
"""

PROGRAM = """
import contextlib, io, json
import supremix
from supremix import cli
from supremix.cli.parsing.options_page import options_page
from supremix.errors import SearchInterrupted, SpecError
from supremix.joint_training import joint as joint_module
from supremix.planning import plan as plan_module
from supremix.search.spec import SearchSpec

made, found = [], {}
check = SearchSpec.__post_init__
SearchSpec.__post_init__ = lambda self: (check(self), made.append(self))[0]

def stop(*args, **more):
    raise SearchInterrupted("here")

for kind in ("Search", "Comparison", "MultiDatasetSearch", "Benchmark"):
    getattr(supremix, kind).run = stop
plan_module.ray_runtime = joint_module.run_joint = stop

def called(name, function, *args, **more):
    made.clear()
    with contextlib.suppress(SearchInterrupted):
        function(*args, **more)
    found[name] = sorted({spec.dropout for spec in made})

def typed(*words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        with contextlib.suppress(SystemExit):
            cli.main(words)
    return out.getvalue()

options = {"trials": 1, "dropout": 0.25}
two = ["ukb-t1", "hcp-aging"]
called("Search", supremix.Search, "ukb-t1", **options)
called("Comparison", supremix.Comparison, "ukb-t1", methods=["l1", "rnc"], **options)
called("MultiDatasetSearch", supremix.MultiDatasetSearch, two, **options)
called("Benchmark", supremix.Benchmark, two, methods=["l1"], **options)
called("plan", supremix.plan, "ukb-t1", **options)
called("joint", supremix.joint, two, dropout=0.25, out="joint")
for command in ("search", "benchmark", "plan", "joint"):
    words = [command, "--dataset", ",".join(two), "--dropout", "0.25", "--out", command]
    called(command, typed, *words, *([] if command == "joint" else ["--trials", "1"]))
found["help"] = [
    command for command in ("search", "benchmark", "plan", "joint", "prepare", "check")
    if "--dropout" in typed(command, "--help")
]
found["documented"] = [
    kind for kind in ("Search", "Comparison", "MultiDatasetSearch", "Benchmark", "plan", "joint")
    if "dropout: Fraction of the features" in getattr(supremix, kind).__doc__
]
found["page"] = [line for line in options_page().splitlines() if "--dropout" in line]
spec = SearchSpec(dataset="ukb-t1", **options)
found["stored"] = spec.to_dict()["dropout"]
found["restored"] = SearchSpec.from_dict(spec.to_dict()) == spec
try:
    SearchSpec(dataset="ukb-t1", trials=1, dropout=2)
except SpecError as error:
    found["refused"] = str(error)
print(json.dumps(found))
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_and_the_page_list_the_same_options_in_the_same_words(command: Command) -> None:
    page = options_page()
    params = vars(typer.main.get_command(cli.app))["commands"][command].params
    shown = {param.name: getattr(param, "help", None) for param in params}
    options = command_options(command)
    declared = {one.name: with_flags(one.text, options) for one in options}

    assert shown == declared
    for one in options:
        row = next(line for line in page.splitlines() if f" | `{one.name}` | " in line)
        assert declared[one.name] in row
        assert command in row.split(" | ")[-1]


def test_the_page_of_options_is_what_the_declaration_gives() -> None:
    assert (REPOSITORY / "docs" / "options.md").read_text() == options_page(), (
        "write it with python -m supremix.cli.parsing.options_page docs/options.md"
    )


def test_an_option_that_is_added_arrives_everywhere(tmp_path: Path) -> None:
    roots = [str(path.parent) for path in (tmp_path / "platform" / "supremix", PACKAGE)]
    copy = shutil.copytree(
        PACKAGE, tmp_path / "platform" / "supremix", ignore=shutil.ignore_patterns("__pycache__")
    )
    with (copy / "search" / "request" / "training.py").open("a") as declaration:
        declaration.write(ADDED)
    paths = [roots[0], *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200"}

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    fronts = ["Search", "Comparison", "MultiDatasetSearch", "Benchmark", "plan", "joint"]
    commands = ["search", "benchmark", "plan", "joint"]
    assert {name: found[name] for name in (*fronts, *commands) if found[name] != [0.25]} == {}
    assert (found["help"], found["documented"]) == (commands, fronts)
    assert found["page"] == [
        "| `--dropout` | `dropout` | `0.0` | Fraction of the features that are dropped. At least 0 "
        "and at most 1. | search, benchmark, plan, joint |"
    ]
    assert (found["stored"], found["restored"]) == (0.25, True)
    assert found["refused"].startswith("dropout has to be at least 0 and at most 1; got 2.")

"""The Dockerfile, checked without a daemon; where one runs, the long test builds and runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
MAKEFILE = (REPOSITORY / "Makefile").read_text()


def instructions() -> list[tuple[str, str]]:
    """Every instruction with its words, continued lines joined."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, rest in found]


def of(name: str) -> list[str]:
    return [words for found, words in instructions() if found == name]


def docker(*words: str, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False,
        timeout=timeout,
    )  # fmt: skip


def test_every_instruction_is_one_of_dockers() -> None:
    known = {"FROM", "ARG", "RUN", "ENV", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in instructions()} == known


def test_what_is_copied_is_there_and_not_ignored() -> None:
    rules = (REPOSITORY / ".dockerignore").read_text().splitlines()
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source for words in of("COPY") if "--from" not in words for source in words.split()[:-1]
    }
    assert rules[1] == "*"  # whatever else lies in the checkout stays there
    assert copied == allowed
    assert all((REPOSITORY / source).exists() for source in copied)


def test_everything_that_the_wheel_needs_is_copied() -> None:
    whole = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    needed = {
        path.split("/")[0]
        for path in whole["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    }
    needed |= {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml"}
    copied = {source for words in of("COPY") for source in words.split()[:-1]}
    assert needed <= copied


def test_packages_are_installed_as_by_the_makefile() -> None:
    installs = [words for words in of("RUN") if words.startswith("pip install")]
    assert all("--constraint constraints.txt" in words for words in installs)
    wanted = [words.rpartition("constraints.txt ")[2] for words in installs]
    assert wanted == ["${TORCH_FROM} torch", "hatchling", '--no-build-isolation ".[${EXTRAS}]"']
    made = re.findall(r"\$\(INSTALL\) (.*)", MAKEFILE)[:3]
    assert made == ["$(TORCH_FROM) torch", "hatchling", "--no-build-isolation --editable ."]
    assert not any("==" in words for words in installs)  # versions are those of constraints.txt


def test_python_is_the_one_that_the_pins_are_tested_with() -> None:
    versions = set(re.findall(r"python:(\d+\.\d+)-slim", " ".join(of("FROM"))))
    (oldest,) = re.findall(r">=(\d+\.\d+)", PROJECT["requires-python"])
    assert versions == {oldest}


def test_arguments_are_those_of_the_project() -> None:
    given = dict(words.split("=", 1) for words in of("ARG"))
    assert set(given["EXTRAS"].split(",")) <= set(PROJECT["optional-dependencies"])
    (example,) = re.findall(r'make demo TORCH_FROM="([^"]+)"', MAKEFILE)
    assert given["TORCH_FROM"].strip('"') == example


def test_it_runs_the_command_as_a_user_without_rights() -> None:
    assert of("ENTRYPOINT") == ['["supremix"]']
    assert "supremix" in PROJECT["scripts"]
    assert of("USER")[-1] == "supremix"
    assert "useradd --create-home --uid 1000 supremix" in " ".join(of("RUN"))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_it_is_built_and_runs() -> None:
    if (
        shutil.which("docker") is None
        or docker("version", "--format", "{{.Server.Version}}", timeout=60).returncode
    ):
        pytest.skip("no docker daemon answers")
    built = docker("build", "--tag", "supremix:test", ".", timeout=3000)
    assert built.returncode == 0, built.stderr[-3000:]
    version = docker("run", "--rm", "supremix:test", "--version", timeout=120)
    assert version.stdout.strip() == f"supremix {PROJECT['version']}"
    user = docker("run", "--rm", "--entrypoint", "id", "supremix:test", "--user", timeout=120)
    assert user.stdout.strip() == "1000"

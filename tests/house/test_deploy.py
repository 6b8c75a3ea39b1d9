"""The files that bring a search onto a cluster, and the page about them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import typer.main
import yaml

from supremix import cli

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
PAGES = [REPOSITORY / "docs" / "cluster.md", REPOSITORY / "docs" / "plan.md"]
FILES = sorted(path for path in DEPLOY.iterdir() if path.is_file())
COMMANDS: dict[str, Any] = vars(typer.main.get_command(cli.app))["commands"]
FENCE = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def test_every_file_is_known_here() -> None:
    names = {path.name for path in FILES}

    assert names == {"kuberay-rayjob.yaml", "slurm.sh", "aws-cluster.yaml"}


def strings(value: Any) -> Iterator[str]:
    """Every text in a YAML document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def shell_lines(path: Path) -> list[str]:
    """What a file has for a shell, a line a command."""
    text = path.read_text()
    if path.suffix == ".yaml":
        text = "\n".join(strings(yaml.safe_load(text)))
    elif path.suffix == ".md":
        text = "\n".join(FENCE.findall(text))
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if not line.lstrip().startswith("#")]


def commands(path: Path) -> list[list[str]]:
    """The words behind `supremix` in every command line of a file, also of quoted ones."""
    found: list[list[str]] = []
    for line in shell_lines(path):
        words = shlex.split(line.replace('"${SEARCH[@]}"', "").rstrip("& "), comments=True)
        found += [shlex.split(word)[1:] for word in words if word.startswith("supremix ")]
        if "supremix" in words[:-1]:
            found.append(words[words.index("supremix") + 1 :])
    return found


def unknown(words: list[str]) -> list[str]:
    """Options of a command line that the command does not have."""
    legal = {
        text
        for option in COMMANDS[words[0]].params
        for text in (*option.opts, *option.secondary_opts)
    }
    return [word for word in words[1:] if word.startswith("--") and word not in legal]


@pytest.mark.parametrize("path", [*FILES, *PAGES], ids=lambda path: path.name)
def test_every_option_of_a_command_line_exists(path: Path) -> None:
    found = commands(path)

    assert found or path.name == "aws-cluster.yaml"
    assert [(words, wrong) for words in found if (wrong := unknown(words))] == []


@pytest.mark.parametrize("path", [*FILES, *PAGES], ids=lambda path: path.name)
def test_every_command_line_is_taken_apart_by_the_command(path: Path) -> None:
    for words in commands(path):
        # Where a shell would put something, anything stands for it.
        context = COMMANDS[words[0]].make_context(words[0], [word or "x" for word in words[1:]])

        given = {word.lstrip("-").replace("-", "_") for word in words if word.startswith("--")}
        assert {
            name for name in given if name in context.params and not context.params[name]
        } == set()


def test_the_check_sees_an_option_that_is_not_there() -> None:
    assert unknown(["search", "--dataset", "hc18", "--frobnicate"]) == ["--frobnicate"]


def test_the_options_of_the_slurm_script_exist() -> None:
    (inside,) = re.findall(r"^SEARCH=\((.*)\)$", (DEPLOY / "slurm.sh").read_text(), re.MULTILINE)

    assert unknown(["search", *shlex.split(inside)]) == []


def test_the_slurm_script_is_a_shell_script() -> None:
    done = subprocess.run(
        ["bash", "-n", str(DEPLOY / "slurm.sh")], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(
        ["shellcheck", str(DEPLOY / "slurm.sh")], capture_output=True, text=True, check=False
    )

    assert done.stdout == ""


def test_the_slurm_script_goes_on_after_it_was_stopped() -> None:
    text = (DEPLOY / "slurm.sh").read_text()

    for needed in ("#SBATCH --requeue", "--or-resume", "scontrol requeue", "--cpus-per-task="):
        assert needed in text


def test_the_ray_job_has_what_kuberay_needs() -> None:
    job = load("kuberay-rayjob.yaml")

    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["metadata"]["name"]
    spec = job["spec"]
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
    assert spec["shutdownAfterJobFinishes"] is True  # the time to live wants it
    assert "\n" not in spec["entrypoint"].strip()
    cluster = spec["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        for container in group["template"]["spec"]["containers"]:
            assert container["image"]
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_ray_jobs_volumes_are_there() -> None:
    for group in load("kuberay-rayjob.yaml")["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        mounted = {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]}

        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_ray_jobs_cluster_keeps_its_size() -> None:
    for group in load("kuberay-rayjob.yaml")["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]


def test_the_ray_job_has_the_pinned_version_of_ray() -> None:
    version = load("kuberay-rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"]

    assert f"ray=={version}" in (REPOSITORY / "constraints.txt").read_text().splitlines()


def test_the_cluster_file_is_one_that_ray_takes() -> None:
    schema = json.loads((resources.files(ray) / "autoscaler" / "ray-schema.json").read_text())

    jsonschema.validate(load("aws-cluster.yaml"), schema)
    with pytest.raises(jsonschema.ValidationError, match="'many' is not of type 'integer'"):
        jsonschema.validate({**load("aws-cluster.yaml"), "max_workers": "many"}, schema)


def test_the_cluster_files_node_types_are_there() -> None:
    cluster = load("aws-cluster.yaml")
    types = cluster["available_node_types"]

    assert cluster["head_node_type"] in types
    assert sum(kind.get("max_workers", 0) for kind in types.values()) <= cluster["max_workers"]
    assert types["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


@pytest.mark.parametrize("name", [path.name for path in FILES])
def test_the_page_leads_to_every_file(name: str) -> None:
    assert f"](../deploy/{name})" in PAGES[0].read_text()

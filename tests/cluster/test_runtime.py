"""What is refused before any Ray is started, and the kernel's count of kills."""

from __future__ import annotations

import socket
import zipfile
from pathlib import Path

import pytest

from supremix.cluster import members, runtime
from supremix.cluster.members import memory_kills
from supremix.cluster.pool.ray_control import death_of
from supremix.cluster.runtime import ray_runtime, wheel_environment
from supremix.errors import ResourceError, SpecError


@pytest.mark.parametrize("name", ["missing.whl", "package.zip", "no_zip.whl"])
def test_what_is_no_wheel_is_refused(tmp_path: Path, name: str) -> None:
    if name != "missing.whl":
        (tmp_path / name).write_text("not a wheel")
    with (
        pytest.raises(SpecError, match=rf"{name}' is no \.whl file"),
        ray_runtime(wheel=str(tmp_path / name)),
    ):
        pytest.fail("it was started")


def test_a_cluster_that_does_not_answer_is_refused_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(ResourceError, match=f"no Ray cluster answers at '{address}'"),
            ray_runtime(address),
        ):
            pytest.fail("it was reached")


def test_a_refusal_for_lack_of_a_token_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**named: object) -> None:
        try:
            raise RuntimeError("Last connection error: ray.exceptions.AuthenticationError: RPC")
        except RuntimeError as error:
            raise ConnectionError("Failed to connect to Ray cluster") from error

    monkeypatch.setattr(runtime.ray, "init", refuse)
    with (
        pytest.raises(ResourceError, match=r"refuses this process.*RAY_AUTH_MODE=disabled every"),
        ray_runtime("auto"),
    ):
        pytest.fail("it was reached")


def test_a_wheel_travels_as_the_packages_in_it(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/__init__.py", "")
        archive.writestr("a-1.dist-info/METADATA", "")
    with wheel_environment(str(wheel)) as environment:
        assert environment is not None
        modules = [Path(module) for module in environment["py_modules"]]
        assert [module.name for module in modules] == ["a", "a-1.dist-info"]
        assert (modules[0] / "__init__.py").is_file()
    assert not modules[0].exists()


def test_the_kernel_is_asked_how_many_it_has_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "VMSTAT", tmp_path / "vmstat")
    assert memory_kills() == 0
    (tmp_path / "vmstat").write_text("pgfault 12\noom_kill 3\n")
    assert memory_kills() == 3


@pytest.mark.parametrize(
    ("said", "text", "memory"),
    [
        (
            "The actor died.\nThe actor is dead because its worker process has died. Worker exit "
            "detail: End of file. Some common causes include: (1) the OOM killer",
            "The actor is dead because its worker process has died. Worker exit detail: End of "
            "file.",
            False,
        ),
        ("Task was killed due to the node running low on memory.\nmore", "Task was", True),
    ],
)
def test_a_death_is_reported_in_a_line_without_guesses(said: str, text: str, memory: bool) -> None:
    death = death_of(Exception(said))
    assert death.text.startswith(text)
    assert "\n" not in death.text
    assert "OOM" not in death.text
    assert death.memory == memory

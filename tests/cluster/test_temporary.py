"""The folder of Ray's files: Ray's own choice where it will do, else a short one, else an error."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from supremix.cluster import temporary
from supremix.cluster.temporary import LONGEST, check_temporary_folder, provide_token, ray_folder
from supremix.errors import ResourceError


@pytest.fixture(autouse=True)
def _no_folder_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> str:
    """A short folder, the only one to fall back on."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(temporary, "SHORT", ("/no/such/folder", folder))
        yield folder


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_the_folder_of_the_environment_is_left_to_ray(
    name: str, short: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, short)
    with ray_folder() as folder:
        assert folder is None


@pytest.mark.parametrize("kind", ["long", "missing", "file", "relative", "ray is a file"])
def test_a_folder_that_will_not_do_is_replaced_for_the_time_of_the_block(
    kind: str, short: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(short) / "own"
    if kind == "long":
        own = tmp_path / "slurm_job_of_a_batch_system" / "slurm_job_of_a_batch_system"
    if kind == "file":
        own.write_text("")
    elif kind != "missing":
        own.mkdir(parents=True)
    if kind == "ray is a file":
        (own / "ray").symlink_to("/proc/self")  # a folder, in which no file can be made
    monkeypatch.chdir(short)
    monkeypatch.setenv("TMPDIR", "own" if kind == "relative" else str(own))
    with ray_folder() as folder:
        assert folder is not None
        assert Path(folder).parent == Path(short)
        assert len(os.fsencode(f"{folder}/session_2026-11-30_15-10-00_123456_4194304/sockets/"
                               "plasma_store")) <= 107  # fmt: skip
    assert not Path(folder).exists()


def test_where_no_folder_will_do_the_error_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(temporary, "SHORT", ("/no/such/folder",))
    monkeypatch.setenv("TMPDIR", "/x" * LONGEST)
    message = rf"at most {LONGEST} bytes, found '/x/.*Name one in RAY_TMPDIR"
    with pytest.raises(ResourceError, match=message), ray_folder():
        pytest.fail("there is none")


def test_no_folder_for_temporary_files_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(ResourceError, match=r"found in \['/tmp'\]\)\. Name a folder .* TMPDIR"):
        check_temporary_folder()


@pytest.mark.parametrize("home", ["/dev/null", "/proc/self", ""])
def test_a_home_that_cannot_keep_rays_token_is_none_of_its_concern(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": home} if home else {})
    provide_token()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


@pytest.mark.parametrize(
    "named", [{}, {"RAY_AUTH_MODE": "disabled", "HOME": "/dev/null"}, {"RAY_AUTH_TOKEN_PATH": "x"}]
)
def test_ray_keeps_its_own_token_where_it_can_or_is_told_another(
    named: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path), **named})
    provide_token()
    assert "RAY_AUTH_TOKEN" not in os.environ

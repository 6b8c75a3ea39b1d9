"""What others may read of a run: no place, no password, and a command that can be repeated."""

from __future__ import annotations

import shlex

import pytest

from supremix_reports.catalog.discovery import Problem
from supremix_reports.report.privacy import (
    SECRET,
    last_name,
    shown_command,
    shown_spec,
    without_places,
)
from supremix_reports.report.report import shown_problems


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/home/me/data/hc18", "hc18"),
        ("s3://bucket/data/hc18/", "hc18"),
        (r"C:\Users\me\hc18", "hc18"),
        ("https://storage/images?sig=secret", "images"),
        ("s3://KEY:SECRET@bucket", "bucket"),
        ("s3://KEY:SEC/RET@bucket", "bucket"),
    ],
)
def test_a_place_is_cut_down_to_its_last_name(place: str, expected: str) -> None:
    assert last_name(place) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'/home/me/runs/a b/trials.parquet' is damaged", "'trials.parquet' is damaged"),
        ("see /home/me/runs/first, please", "see first, please"),
        ("at s3://bucket/key?sig=x.", "at key."),
        ("'s3://KEY:SECRET@bucket'", "'bucket'"),
        ("/home/John Smith/study/x.py is lost", "x.py is lost"),
        ("/home/John van Smith/study/x.py is lost", "x.py is lost"),
        (r"C:\Users\John Smith\x.py is lost", "x.py is lost"),
        ("/data/a study/x.py is lost", "x.py is lost"),
        ("/data/a to s3://bucket/b and /data/c", "a to b and c"),
        ("10 mm/s and supremix/rnc stay", "10 mm/s and supremix/rnc stay"),
    ],
)  # fmt: skip
def test_sentences_keep_names_and_lose_places(text: str, expected: str) -> None:
    assert without_places(text) == expected


COMMAND = (
    "/home/me/venv/bin/supremix search --dataset hc18 --source /home/me/hc18 --out=runs/x "
    "--webhook https://hooks.example/T0/secret --cache /scratch/me --set lr=0.1"
)


def test_a_command_is_shown_without_places_and_secrets() -> None:
    assert shown_command(COMMAND) == (
        "supremix search --dataset hc18 --source hc18 --out=x --set lr=0.1"
    )


def test_paths_are_shown_where_they_are_asked_for_but_no_secret() -> None:
    shown = shown_command(COMMAND, paths=True)

    assert "--source /home/me/hc18" in shown
    assert "secret" not in shown
    assert "--cache /scratch/me" in shown


def test_a_specification_is_shown_without_places_and_secrets() -> None:
    spec = {"source": "/home/me/hc18", "trials": 4, "cache": "/scratch", "webhook": "https://x/y",
            "space": None, "overrides": ["lr=0.1"]}  # fmt: skip

    assert shown_spec(spec) == {
        "source": "hc18", "trials": 4, "webhook": SECRET, "overrides": ["lr=0.1"]
    }  # fmt: skip
    assert shown_spec(spec, paths=True)["source"] == "/home/me/hc18"
    assert "https" not in str(shown_spec(spec, paths=True))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--source hc18=path/to/hc18", "--source hc18=hc18"),
        ("--source=hc18=path/to/hc18", "--source=hc18=hc18"),
        ("--dataset a/hc18,b/hcp,made", "--dataset hc18,hcp,made"),
        ("--source hc18=/a/hc18,hcp=/b/hcp", "--source hc18=hc18,hcp=hcp"),
        ("--source /data/split=train/images", "--source images"),
        ("--source '/home/Smith, John/hc18'", "--source hc18"),
        ("--title 'two words'", "--title 'two words'"),
        ("--source s3://KEY:SECRET@bucket", "--source bucket"),
    ],
)
def test_each_of_several_places_is_cut_down_and_keeps_its_name(given: str, expected: str) -> None:
    assert shown_command(f"supremix search {given}") == f"supremix search {expected}"


@pytest.mark.parametrize(
    ("program", "ours"),
    [
        ("supremix", True),
        ("/usr/bin/supremix", True),
        ("/site-packages/supremix/cli/__main__.py", True),
        (r"C:\venv\Scripts\supremix.exe", True),
        ("/site-packages/ipykernel_launcher.py", False),
        ("/site-packages/pytest/__main__.py", False),
        ("study.py", False),
        ("", False),
    ],
)
def test_only_the_commands_of_supremix_are_shown_as_such(program: str, ours: bool) -> None:
    shown = shown_command(shlex.join([program, "-f", "kernel.json"]))

    assert shown == ("supremix -f kernel.json" if ours else None)


def test_passwords_within_addresses_are_not_shown_with_paths_either() -> None:
    address = "http://user:pass@host:5000/a?versionId=3&X-Amz-Signature=abc"
    command = shown_command(shlex.join(["supremix", "search", "--mlflow", address]), paths=True)
    (problem,) = shown_problems([Problem("r", "w", f"no answer from {address}.")], paths=True)
    spec = shown_spec({"mlflow": address, "datasets": [{"mlflow": address}]}, paths=True)

    for shown in (command, problem.reason, str(spec)):
        assert "http://host:5000/a?versionId=3" in str(shown)
        assert "user" not in str(shown)
        assert "pass" not in str(shown)
        assert "abc" not in str(shown)


def test_a_specification_within_another_keeps_its_secrets_too() -> None:
    inner = {"webhook": "https://x/y", "cache": "/scratch", "source": "/home/me/hcp", "trials": 2}
    spec = {"datasets": {"hcp": inner}, "runs": [inner], "source": "hc18=/home/me/hc18"}
    left = {"webhook": SECRET, "source": "hcp", "trials": 2}

    assert shown_spec(spec) == {
        "datasets": {"hcp": left}, "runs": [left], "source": "hc18=hc18"
    }  # fmt: skip
    assert "https" not in str(shown_spec(spec, paths=True))

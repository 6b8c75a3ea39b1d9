"""Spaces as text: overrides of the command line, dictionaries, the user's own files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supremix_spaces import (
    Choice,
    Fixed,
    Float,
    Int,
    Parameter,
    Space,
    SpaceError,
    load_parameters,
    load_space,
    parse_override,
    parse_overrides,
    space_for,
)

# The stored form is what run folders hold: it may be added to, not changed.
STORED = {
    "head": {"type": "choice", "options": ["finetune", "probe"], "default": "probe"},
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "depth": {"type": "int", "low": 1, "high": 9, "log": False, "step": 2, "default": 3},
    "rate": {"type": "fixed", "value": 0.5, "when": {"head": ["finetune"]}},
}
SPACE = Space(
    {
        "head": Choice(("finetune", "probe"), default="probe"),
        "lr": Float(1e-4, 1e-2, log=True),
        "depth": Int(1, 9, step=2, default=3),
        "rate": Fixed(0.5, when=("head", ("finetune",))),
    }
)


@pytest.mark.parametrize(
    ("text", "name", "parameter"),
    [
        ("temperature=0.1", "temperature", Fixed(0.1)),
        ("temperature = 0.05..1.0:log", "temperature", Float(0.05, 1.0, log=True)),
        ("lr=1e-4..1e-2", "lr", Float(1e-4, 1e-2)),
        ("shift=-1..-.5", "shift", Float(-1.0, -0.5)),
        ("window=2..20", "window", Int(2, 20)),
        ("channels=8..64:step=8", "channels", Int(8, 64, step=8)),
        ("batch_size=16,32,64", "batch_size", Choice((16, 32, 64))),
        ("weights=true,False", "weights", Choice((True, False))),
        ("head=probe", "head", Fixed("probe")),
        ("max_pairs=none", "max_pairs", Fixed(None)),
        ("max_pairs=none,64", "max_pairs", Choice((None, 64))),
    ],
)
def test_overrides(text: str, name: str, parameter: Parameter) -> None:
    assert parse_override(text) == (name, parameter)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("temperature", "Cannot read the setting 'temperature'. Write name=0.1"),
        ("=1", "Cannot read"),
        ("lr=", "Cannot read"),
        ("my lr=1", "Cannot read"),
        ("lr=1..0", "'lr=1..0': .*low < high"),
        ("lr=a..b", "from a number to a number"),
        ("lr=1..2:lgo", "Unknown range option 'lgo'"),
        ("lr=0.1..0.2:step=2", "Only a range of integers"),
        ("batch_size=16,,32", "A value is empty"),
        ("lr=nan", "finite"),
    ],
)
def test_unreadable_overrides_are_refused(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        parse_override(text)


def test_an_override_given_twice_is_refused() -> None:
    with pytest.raises(SpaceError, match="lr is set twice"):
        parse_overrides(["lr=1", "lr=2"])


def test_the_stored_form() -> None:
    assert SPACE.to_dict() == STORED
    assert Space.from_dict(STORED) == SPACE


def test_presets_survive_json() -> None:
    preset = space_for("supremix", window=20.0, label_bin=2.0, train_size=486)
    read = Space.from_dict(json.loads(json.dumps(preset.to_dict())))
    assert (read, read.names) == (preset, preset.names)


def test_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "space.json"
    path.write_text(json.dumps(STORED))
    assert load_space(str(path)) == SPACE
    assert load_space(path.as_uri()) == SPACE


def test_a_toml_file_with_the_short_forms(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(
        """
        batch_size = 64
        weights = [true, false]
        temperature = "0.05..1.0:log"

        [head]
        type = "choice"
        options = ["finetune", "probe"]

        [finetune_lr]
        type = "float"
        low = 5e-5
        high = 2e-3
        log = true
        default = 3e-4
        when = { head = "finetune" }
        """
    )
    expected = {
        "batch_size": Fixed(64),
        "weights": Choice((True, False)),
        "temperature": Float(0.05, 1.0, log=True),
        "head": Choice(("finetune", "probe")),
        "finetune_lr": Float(5e-5, 2e-3, log=True, default=3e-4, when=("head", ("finetune",))),
    }
    assert load_parameters(str(path)) == expected
    assert load_space(str(path)) == Space(expected)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "", r"ends in \.toml or \.json"),
        ("a.toml", "lr = ", "not valid TOML"),
        ("a.json", "{", "not valid JSON"),
        ("a.json", "[]", "one object with a parameter per name"),
        ("a.json", '{"lr": {"type": "flaot"}}', "'lr': 'type' has to be one of float, int"),
        ("a.json", '{"lr": {"low": 1}}', "'type' has to be one of"),
        ("a.json", '{"lr": {"type": "float", "low": 1}}', "missing.*'high'.*takes low, high"),
        ("a.json", '{"lr": {"type": "float", "lo": 1}}', "no 'lo'. Did you mean 'low'"),
        ("a.json", '{"lr": {"type": "fixed", "value": 1, "when": 3}}', "'when' has the form"),
        ("a.json", '{"lr": {"type": "choice", "options": "ab"}}', "list of options"),
        ("a.json", '{"lr": {"type": "float", "low": "0", "high": 1}}', "finite numbers"),
        ("a.json", '{"lr": [[1]]}', "'lr': A choice needs"),
    ],
)
def test_unreadable_files_are_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SpaceError, match=message):
        load_space(str(tmp_path / name))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SpaceError, match=r"no space file at '/nowhere/space\.toml'"):
        load_space("/nowhere/space.toml")

"""What can be asked of a comparison, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import supremix
from supremix.errors import RunFolderError, SpecError, TrainingError
from supremix.runs.folder import RunFolder
from supremix.runs.grids import COMPARISON
from supremix_spaces import Fixed, Float, Space


def ask(*methods: str, **more: Any) -> supremix.Comparison:
    return supremix.Comparison("ukb-t1", None, methods or ("supremix", "l1"), trials=2, **more)


def space_of(spec: Any) -> Space:
    return spec.resolve_space(window=5.0, label_bin=1.0, train_size=100)


def test_the_methods_differ_in_nothing_else() -> None:
    one, other = (spec.to_dict() for spec in ask(seed=3, epochs=7, encoder="densenet").specs)
    assert {name for name in one if one[name] != other[name]} == {"method"}


def test_a_setting_goes_to_the_methods_that_have_it() -> None:
    ours, l1 = ask(overrides=("temperature=0.5", "lr=0.002")).specs
    assert space_of(ours).parameters["temperature"] == Fixed(0.5)
    assert "temperature" not in space_of(l1).parameters
    assert [space_of(spec).parameters["lr"] for spec in (ours, l1)] == [Fixed(0.002)] * 2


def test_a_file_of_settings_goes_to_the_methods_that_have_them(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('temperature = 0.5\nweight_decay = "0.01..0.1:log"\n')
    ours, l1 = ask(space=file).specs
    assert space_of(ours).parameters["temperature"] == Fixed(0.5)
    assert "temperature" not in space_of(l1).parameters
    assert {str(space_of(s).parameters["weight_decay"]) for s in (ours, l1)} == {
        str(Float(0.01, 0.1, log=True, default=0.05))
    }


@pytest.mark.parametrize(
    ("methods", "more", "message"),
    [
        (("l1", "supremx"), {}, r"unknown method 'supremx'; there are: .*l1.*'supremix'"),
        (("l1",), {}, "at least two methods; got 1"),
        (
            ("l1", "supremix", "l1"),
            {},
            "name each .* once; ukb-t1 with l1 is there twice",
        ),
        ((), {"overrides": ("temprature=1",)}, r"unknown parameter.*'temprature'.*'temperature'"),
        ((), {"space": Space({"lr": Fixed(0.1)})}, "a Space is one method's"),
        ((), {"trials": 0}, "trials has to be at least 1; got 0"),
    ],
)
def test_a_wrong_request_says_what_to_write(
    methods: tuple[str, ...], more: dict[str, Any], message: str
) -> None:
    options: dict[str, Any] = {"trials": 2, **more}
    with pytest.raises((SpecError, TrainingError), match=message):
        supremix.Comparison("ukb-t1", None, methods or ("supremix", "l1"), **options)


def test_an_unknown_setting_of_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text("temprature = 0.5\n")
    with pytest.raises(SpecError, match="'temprature'"):
        ask(space=file)


def test_no_argument_of_a_search_is_made_up() -> None:
    with pytest.raises(SpecError, match=r"trails.*Did you mean .trials."):
        ask(trails=3)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise SpecError("method l1: its batch is too large")

    monkeypatch.setattr("supremix.benchmark.driver.run_searches", refuse)


@pytest.mark.usefixtures("refused")
def test_a_refused_comparison_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="method l1"):
        ask(out=tmp_path / "run").run()
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("refused")
def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunFolderError, match="is not empty"):
        ask(out=tmp_path).run()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_folder_has_a_run_a_method_and_is_taken_up_with_the_same_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(grid: supremix.Comparison) -> None:
        (grid.path / "l1" / "ledger.jsonl").write_text('{"event":"session"}\n')
        raise KeyboardInterrupt

    monkeypatch.setattr("supremix.benchmark.driver.run_searches", run)
    comparison = ask(out=tmp_path / "run", overrides=("temperature=0.5",))
    with pytest.raises(KeyboardInterrupt):
        comparison.run()
    assert COMPARISON.is_in(tmp_path / "run")
    assert supremix.Comparison.resume(tmp_path / "run").specs == comparison.specs
    elsewhere = supremix.Comparison.resume(tmp_path / "run", address="new:6379")
    assert [spec.address for spec in elsewhere.specs] == ["new:6379"] * 2
    assert RunFolder(tmp_path / "run" / "l1").name == "run/l1"
    assert supremix.Search.resume(tmp_path / "run" / "l1").spec == comparison.specs[1]
    with pytest.raises(RunFolderError, match="is the folder of a comparison"):
        supremix.Search.resume(tmp_path / "run")


def test_what_is_no_comparison_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"has no comparison\.json"):
        supremix.Comparison.resume(tmp_path)

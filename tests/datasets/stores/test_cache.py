"""Folders that cannot be written to: one sentence, and nothing left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supremix_datasets import StoreError, check, get, prepare
from supremix_datasets.cache import default_cache, writable
from supremix_datasets.phantoms.folder import write_phantoms

Make = Callable[..., Path]


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A folder that cannot be made, also by a superuser."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "cache"


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path: Path) -> None:
    assert list(writable(tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("folder", ["/proc/self/cache", "/proc/self"])
def test_a_folder_that_cannot_be_written_is_an_error(folder: str) -> None:
    with pytest.raises(StoreError, match=rf"^{folder} cannot be written to: .*Do that\.$"):
        writable(Path(folder), "Do that.")


def test_preparing_names_the_cache_that_cannot_be_written(make_hc18: Make, blocked: Path) -> None:
    with pytest.raises(StoreError, match=r"cache cannot be written to: .*\$SUPREMIX_CACHE"):
        prepare("hc18", make_hc18(), cache=blocked)
    with pytest.raises(StoreError, match="cache cannot be written to"):
        prepare("ukb-t1", "phantom", cache=blocked, phantoms=8)


def test_a_store_that_is_prepared_needs_no_right_to_write(
    make_hc18: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_hc18()
    key = prepare("hc18", source, cache=tmp_path / "c").key
    monkeypatch.setattr("supremix_datasets.stores.prepare.writable", pytest.fail)
    assert prepare("hc18", source, cache=tmp_path / "c").key == key


def test_a_check_names_the_folder_of_its_sheets(make_hc18: Make, blocked: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be written to: .*contact sheets: --out FOLDER"):
        check("hc18", make_hc18(), out=blocked)


def test_phantoms_name_their_folder(blocked: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be written to: .*folder for the phantoms\."):
        write_phantoms(get("ukb-t1"), blocked, 4)


def test_without_a_home_a_cache_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SUPREMIX_CACHE", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(StoreError, match=r"HOME is not set.*--cache FOLDER, or \$SUPREMIX_CACHE"):
        default_cache()

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from supremix_datasets import UnknownDatasetError, get, names

HEAVY = ("av", "fastexcel", "scipy.ndimage")


@pytest.mark.parametrize("name", names())
def test_every_name_gives_its_dataset(name: str) -> None:
    assert get(name).name == name


def test_the_datasets_are_there() -> None:
    brains = {"ukb-t1", "hcp-aging", "ixi", "openbhb"}
    amyloid = {"adni-amyloid", "a4-amyloid", "oasis3-amyloid"}
    assert {"hc18", "rsna-bone-age", "echonet-dynamic", "table"} | brains | amyloid <= set(names())


def test_a_dataset_is_handed_back() -> None:
    dataset = get("hc18")
    assert get(dataset) is dataset


def test_an_unknown_name_lists_what_there_is() -> None:
    known = ", ".join(names())
    with pytest.raises(UnknownDatasetError, match=rf"Did you mean 'hc18'\? Known: {known}"):
        get("hc-18")


def test_a_path_is_answered_with_the_dataset_of_ones_own_images(tmp_path: Path) -> None:
    with pytest.raises(UnknownDatasetError, match=r"is a path .* check table --source /.*dataset="):
        get(str(tmp_path))


def test_libraries_of_single_formats_are_loaded_when_a_dataset_needs_them() -> None:
    code = f"import sys, supremix_datasets; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

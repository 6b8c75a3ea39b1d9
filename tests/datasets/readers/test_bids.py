"""BIDS folders as the user's own data: names, participants, sessions, sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from supremix_datasets import CardError, LabelTableError, SourceError, check, get, prepare
from supremix_datasets.cards.sample import Scan
from supremix_datasets.readers.own_table.bids import BidsName
from supremix_datasets.readers.own_table.cohort import list_cohort

TABLE = get("table")
TOML = 'shape = [8, 8, 8]\ntarget = "age"\nunit = "years"\n'


def volume(path: Path, seed: int = 0, shape: Sequence[int] = (12, 12, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(1, 900, shape).astype(np.int16)
    nib.Nifti1Image(values, np.diag([4.0, 4, 4, 1])).to_filename(path)


def write(root: Path, files: Sequence[str], participants: str = "", toml: str = TOML) -> Path:
    """A BIDS folder of small volumes; participants 01 to 04 by default."""
    for seed, file in enumerate(files):
        volume(root / file, seed)
    rows = participants or "participant_id\tage\tsex\n" + "".join(
        f"sub-0{n}\t{20 + 5 * n}\t{'FM'[n % 2]}\n" for n in range(1, 5)
    )
    (root / "participants.tsv").write_text(rows)
    if toml:
        (root / "dataset.toml").write_text(toml)
    return root


def scan(folder: Path) -> Scan:
    dataset = TABLE.at(str(folder))
    return dataset.reader.scan(dataset.root or "")


def excluded(folder: Path) -> dict[str, str]:
    return {one.id: one.reason for one in scan(folder).rejected}


T1 = [f"sub-0{n}/anat/sub-0{n}_T1w.nii.gz" for n in range(1, 5)]
FLAIR = [path.replace("T1w", "FLAIR") for path in T1]


def test_a_folder_with_one_kind_of_image_needs_the_label_only(tmp_path: Path) -> None:
    folder = write(tmp_path / "study", T1)
    store = prepare("table", folder, cache=tmp_path / "c")
    assert store.index["id"].to_list() == [f"sub-0{n}_T1w" for n in range(1, 5)]
    assert store.index["group"].to_list() == [f"sub-0{n}" for n in range(1, 5)]
    assert store.index["target"].to_list() == [25, 30, 35, 40]
    assert (store.card.name, store.card.sequences, store.card.channels) == ("study", ("T1w",), 1)
    assert (store.card.intensity, store.card.spacing) == ("foreground", (24.0, 24.0, 24.0))


def test_without_a_description_the_label_is_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path, T1, toml="")
    with pytest.raises(LabelTableError, match=r"participants\.tsv has no column 'target'") as error:
        TABLE.at(str(folder))
    assert str(error.value).endswith('[columns]\ntarget = "…"')


def test_several_kinds_are_listed_and_one_is_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path, [*T1, *FLAIR[:3], "sub-01/func/sub-01_task-rest_bold.nii.gz"])
    with pytest.raises(SourceError, match=r"T1w \(4 files\), FLAIR \(3 files\), bold \(1 files\)"):
        TABLE.at(str(folder))


def test_several_sequences_are_channels_of_one_image(tmp_path: Path) -> None:
    folder = write(tmp_path / "b", [*T1, *FLAIR[:3]], toml=f'bids = ["T1w", "FLAIR"]\n{TOML}')
    store = prepare("table", folder, cache=tmp_path / "c")
    assert store.images.shape == (3, 2, 8, 8, 8)
    assert store.index["id"].to_list() == ["sub-01", "sub-02", "sub-03"]
    assert (store.card.sequences, store.card.imaging) == (
        ("T1w", "FLAIR"), "volumes (T1w, FLAIR)",
    )  # fmt: skip
    assert store.quarantine.rows() == [("sub-04", "no FLAIR image", "")]
    alone = prepare("table", folder, cache=tmp_path / "c2")
    assert alone.key == store.key


def test_entities_choose_among_images_of_one_kind(tmp_path: Path) -> None:
    files = ["sub-01/anat/sub-01_acq-fast_T1w.nii.gz", "sub-01/anat/sub-01_acq-fine_T1w.nii.gz"]
    folder = write(tmp_path, [*files, *T1[1:]])
    assert len(scan(folder).samples) == 5
    (folder / "dataset.toml").write_text(f'bids = "acq-fine_T1w"\n{TOML}')
    assert [s.id for s in scan(folder).samples] == ["sub-01_acq-fine_T1w"]
    assert excluded(folder)["sub-02"] == "no acq-fine_T1w image"
    volume(folder / FLAIR[0])
    (folder / "dataset.toml").write_text(f'bids = ["T1w", "FLAIR"]\n{TOML}')
    assert excluded(folder)["sub-01"] == (
        "2 files are T1w (sub-01_acq-fast_T1w.nii.gz, sub-01_acq-fine_T1w.nii.gz): name an entity "
        "that only one has"
    )


@pytest.mark.parametrize("tables", ["one", "each"])
def test_a_session_has_its_own_label_and_stays_with_its_patient(
    tmp_path: Path, tables: str
) -> None:
    files = [f"sub-0{n}/ses-{k}/anat/sub-0{n}_ses-{k}_T1w.nii.gz" for n in (1, 2) for k in "ab"]
    people = "participant_id\tsex\tage\nsub-01\tF\t1\nsub-02\tM\t2\n"
    folder = write(tmp_path, files, people, f"{TOML}[covariates.sex]\nvalues = {{F = 0, M = 1}}\n")
    if tables == "one":
        rows = "participant_id\tsession_id\tage\nsub-01\tses-a\t61\nsub-01\tses-b\t63\n"
        (folder / "sessions.tsv").write_text(rows + "sub-02\tses-a\t71\nsub-02\tses-b\tn/a\n")
    else:
        for name, rows in {"sub-01": "ses-a\t61\nses-b\t63\n", "sub-02": "ses-a\t71\n"}.items():
            table = folder / name / f"{name}_sessions.tsv"
            table.write_text(f"session_id\tage\n{rows}")
    found = scan(folder)
    assert [(s.group, s.target, s.covariates["sex"]) for s in found.samples] == [
        ("sub-01", 61, 0), ("sub-01", 63, 0), ("sub-02", 71, 1), ("sub-02", 2, 1),
    ]  # fmt: skip
    assert len(found.tables) == (2 if tables == "one" else 3)


def test_patients_without_a_row_or_an_image_are_listed(tmp_path: Path) -> None:
    stranger = "sub-99/anat/sub-99_T1w.nii.gz"
    folder = write(tmp_path, [*T1[:3], stranger, "derivatives/sub-01/anat/sub-01_T1w.nii.gz"])
    assert excluded(folder) == {"sub-04": "no T1w image", "sub-99_T1w": "no label in the table"}
    report = check("table", folder, out=tmp_path.parent / "sheets")
    assert (report.images, report.listed) == (3, 5)


def test_derivatives_are_read_with_the_tables_of_the_study(tmp_path: Path) -> None:
    made = [f"derivatives/prep/sub-0{n}/anat/sub-0{n}_desc-brain_T1w.nii.gz" for n in range(1, 5)]
    folder = write(tmp_path, [*T1, *made], toml=f'images = "derivatives/prep"\n{TOML}')
    assert [s.id for s in scan(folder).samples] == [f"sub-0{n}_desc-brain_T1w" for n in range(1, 5)]
    assert all("/derivatives/prep/sub-" in s.address for s in scan(folder).samples)


def test_time_frames_of_a_pet_are_averaged(tmp_path: Path) -> None:
    files = [f"sub-0{n}/pet/sub-0{n}_trc-AV45_pet.nii.gz" for n in range(1, 5)]
    folder = write(tmp_path / "pet", files)
    for seed, file in enumerate(files):
        volume(folder / file, seed, (12, 12, 12, 3))
    address = scan(folder).samples[0].address
    frames = np.asarray(nib.load(folder / files[0]).dataobj)
    np.testing.assert_allclose(TABLE.reader.decode(address).pixels, frames.mean(3), rtol=1e-5)


def test_a_column_group_is_the_arm_of_a_study_and_no_patient(tmp_path: Path) -> None:
    people = "participant_id\tage\tgroup\n" + "".join(f"sub-0{n}\t{n}\tctrl\n" for n in range(1, 5))
    folder = write(tmp_path, T1, people)
    assert len({s.group for s in scan(folder).samples}) == 4


def test_a_row_twice_and_a_missing_key_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, T1, "participant_id\tage\nsub-01\t1\n01\t2\n")
    with pytest.raises(LabelTableError, match=r"line 3: '01' has a row already, in line 2"):
        scan(folder)
    (folder / "participants.tsv").write_text("id\tage\nsub-01\t1\n")
    with pytest.raises(LabelTableError, match=r"has no column 'participant_id'"):
        scan(folder)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('bids = "anat/T1w"\n', r"bids must be a suffix such as T1w.* found 'anat/T1w'"),
        ("bids = [1]\n", "bids must be a suffix"),
        ('bids = ["T1w", "T1w"]\n', "sequences have the same name"),
        ('bids = ["T1w", "FLAIR"]\nchannels = 1\n', r"number of files of an image, 2 \(T1w, FLAIR"),
        ('bids = "T1w"\n[columns]\nfile = "x"\n', "Leave out one of the two"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, toml: str, message: str) -> None:
    kept, _, columns = toml.partition("[columns]")
    text = kept + TOML + (f"[columns]{columns}" if columns else "")
    with pytest.raises(CardError, match=message):
        TABLE.at(str(write(tmp_path, [*T1, *FLAIR], toml=text)))


@pytest.mark.parametrize(
    ("stem", "suffix", "entities"),
    [
        ("sub-01_ses-b_run-2_T1w", "T1w", {"sub": "01", "ses": "b", "run": "2"}),
        ("T1w", "T1w", {}),
        ("sub-01", None, {}),
        ("sub_T1w", None, {}),
        ("", None, {}),
    ],
)
def test_names_are_read_by_their_parts(
    stem: str, suffix: str | None, entities: Mapping[str, str]
) -> None:
    name = BidsName.of(stem)
    assert (name and name.suffix) == suffix
    assert name is None or name.entities == entities


def test_a_cohort_in_bids_is_predicted_without_a_description(tmp_path: Path) -> None:
    folder = write(tmp_path / "b", [*T1, *FLAIR], toml=f'bids = ["T1w", "FLAIR"]\n{TOML}')
    card = TABLE.at(str(folder)).card
    cohort = write(tmp_path / "new", [*T1[:2], *FLAIR[:1]], "participant_id\nsub-01\n", toml="")
    found = list_cohort([str(cohort)], card)
    assert [(one.found.id, getattr(one.found, "reason", "")) for one in found] == [
        ("sub-01", ""), ("sub-02", "no FLAIR image"),
    ]  # fmt: skip
    assert TABLE.reading(card).decode(found[0].found.address).pixels.shape == (2, 12, 12, 12)
    with pytest.raises(SourceError, match=r"takes 2 files an image, T1w, FLAIR, in this order"):
        list_cohort([str(cohort / T1[0])], card)

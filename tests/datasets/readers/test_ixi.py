from __future__ import annotations

import base64
import csv
import gzip
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from supremix_datasets import Decoded, DecodeError, LabelTableError, SourceError, prepare
from supremix_datasets.readers.ixi import DATASET

READER = DATASET.reader
PLACES = ("SUPREMIX_TEST_DATA", "SUPREMIX_DATA")
Make = Callable[..., Path]

# A workbook of Excel 97 as xlwt writes it, with the columns of the official one. Sheet "Table":
#   IXI_ID  SEX_ID (1=m, 2=f)  HEIGHT  WEIGHT  STUDY_DATE  AGE
#        2                  2     164      58  2005-11-18  35.8001368925394
#       12                  1     175      70  2005-08-20  38.7816563997262
#       13                  1     182      70  2005-08-20
#       14                  2     163      65  2005-08-20  34.2368240930869   (twice)
#       33                  1     181      90  2005-08-20  24.7638603696099
#       33                  1     181      90  2006-08-20  25.7638603696099
#       56                  0       0       0              60.5
# and a sheet "Ethnicity" behind it.
WORKBOOK = """
c-rk)OGuPa6h8NV%#7mbjA@|3Fh~zIB{T>N#&L3{aRNni!qFt36ZvS2!HorF*|h0F6a+;Z!4_?-Ha*Cqs6~rFDJT#EAJC#!K
|u?3I`_=~kMk-NOfdd4-1DDv?mgc<_i^t1=bxH1&x}6IpM?af1QC|PX`qX-F)V4SVgjrWhq<Ue4Oqe&Z751J;6mzTcxHU3=W
EE<dlm$EAiY8kFo&fTPD0&4z;9hg+D|cbFdl=ANx1g}xPv7V@+hus;$6fy5x-AuCx};(<qB~dww+-uFlnzVu2A-|Pbi?eOym
q6lg~6+${-is@_l^v8jG}*!4d4~=-*%!7AXV90GHJ55BP&z&w{&<4$zELT3cJ{bk0ByF83Jx3|j$ysCoU;s@d1q&H(Md;_do
B*bTUdiS`?U1TYNYcE&ez2#nAq@fsPt9i9FD5SYQuk7hi(U4zF1JzYJ6Lkr-e<Ju5Od5_Q2=5d+<8eKjVtc7K^6D8Ji+p!|7
tZ{kVHC_~&NWeYR=soOgZgV=kE)l@tc46XpoY=tSt*P@=r}M7pSTV&ND@IDT4CLLAMY5Sv&V*4c-248%wzJ;eMwVfUD{|p%<
D-KxoZ}wooCy%UhB#_5dF&*9o=~@toKHLlX91tv>vI+1zzDUuK(*VkpWQ?s>^oxQLX<<_8lG4}^Y$W?$KA81a>hT|N1*_F?n
Zz98-Ws5!fxN<^wh3CnQ}CJCZ3mcOc?}|5_?#=RkL7`Cnl1actqo~!=jp?%vD4aQ4^z@gqjr9WYlD(AC}P1bJ$8YGqqItb%F
D*bf_L|6%b3rS!RSZH9s-e`^8bk(S#Ie0wI(W*Aag~X!(qz&9$g#0-;sDu{IdHs|ih{SmV(|Lf8|7Hl2jVeWetUNYs8`%($+
SuPz}Hi6U_yIbBt6iHu85fhMmIO-@47r9g{}<zmdZJ`!4Q0-BD{T6gufTz*|aX!;ar`oE&xY**3rF=%@U&5(p<A)A@5d9$*b
%UpyrLOQnKIG2v%OQDbrk9Y-Mu*<X_`A(M`wcV)sE~LzNU0lBNsiQfDRCBD6MjC0Pkw$AqOu1G?dXWU>WeDgh;@@=^u`FqyN
&Z_p1OxaR#J`j-2;egaL#x_9n?YtO7F(f@`n`}-6ZRg2KIo)4`c}Pv@#Txfj%US=rnO6<)%L%%nmGS)|GxoAf<%M
"""


@pytest.fixture
def ixi_folder() -> Path:
    """The real volumes; a test that asks for them is skipped where they are absent."""
    beside = Path(__file__).parents[3].parent / "shared" / "data"
    places = [Path(os.environ[name]) for name in PLACES if os.environ.get(name)] + [beside]
    for place in places:
        if (place / "ixi").is_dir():
            return place / "ixi"
    pytest.skip(f"no ixi in {' or '.join(map(str, places))}; set {PLACES[0]} to run this")


def nifti(shape: tuple[int, ...] = (16, 20, 12)) -> bytes:
    """Axes to posterior, superior, right, as in the official files."""
    data = np.random.default_rng(0).integers(1, 255, shape).astype(np.uint8)
    affine = np.array([[0, 0, 3.0, 0], [-1.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])
    return gzip.compress(nib.Nifti1Image(data, affine).to_bytes(), mtime=0)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(
        files: Sequence[str],
        rows: Sequence[Sequence[object]] | None = (),
        header: Sequence[str] = ("MRID", "Age", "Sex"),
        name: str = "ixi",
    ) -> Path:
        folder = tmp_path / name
        (folder / "IXI-T1").mkdir(parents=True)
        for file in files:
            (folder / "IXI-T1" / file).write_bytes(nifti())
        if rows is not None:
            with (folder / "IXI.csv").open("w", newline="") as file:
                csv.writer(file).writerows([header, *rows])
        return folder

    return make


def test_the_official_workbook(make: Make) -> None:
    files = ["IXI002-Guys-0828-T1.nii.gz", "IXI002-Guys-0828-T2.nii.gz"]
    files += ["IXI012-HH-1211-T1.nii.gz", "IXI013-HH-1212-T1.nii.gz", "IXI014-HH-1236-T1.nii.gz"]
    files += ["IXI033-HH-1259-T1.nii.gz", "IXI056-IOP-0001-T1.nii.gz"]
    folder = make(files, [("IXI002", 99, "M")])  # the official table goes before the .csv
    (folder / "IXI.xls").write_bytes(zlib.decompress(base64.b85decode(WORKBOOK.replace("\n", ""))))
    scan = READER.scan(str(folder))
    assert [(s.id, s.group, round(s.target, 4), s.site) for s in scan.samples] == [
        ("IXI002", "IXI002", 35.8001, "Guys"),
        ("IXI012", "IXI012", 38.7817, "HH"),
        ("IXI014", "IXI014", 34.2368, "HH"),
        ("IXI056", "IXI056", 60.5, "IOP"),
    ]
    sexes = [{"sex": 0.0}, {"sex": 1.0}, {"sex": 0.0}, {}]
    assert [s.covariates for s in scan.samples] == sexes
    assert {r.id: r.reason for r in scan.rejected} == {
        "IXI013": "no label in the table",
        "IXI033": "the table has rows of this id that contradict each other",
    }
    assert scan.tables[0].endswith("IXI.xls")


def test_a_broken_workbook_is_an_error(make: Make) -> None:
    folder = make(["IXI002-Guys-0828-T1.nii.gz"], None)
    whole = zlib.decompress(base64.b85decode(WORKBOOK.replace("\n", "")))
    for data, reason in ((whole[:1000], "workbook"), (b"<html>", "workbook"), (b"", "empty")):
        (folder / "IXI.xls").write_bytes(data)
        with pytest.raises(LabelTableError, match=reason):
            READER.scan(str(folder))


@pytest.mark.parametrize("written", ["2", "2.0", "002", "IXI002", "IXI002-Guys-0828"])
def test_an_id_has_three_digits_however_it_is_written(make: Make, written: str) -> None:
    folder = make(["IXI002-Guys-0828-T1.nii.gz"], [(written, 35.8, "2.0")])
    assert [(s.id, s.covariates) for s in READER.scan(str(folder)).samples] == [
        ("IXI002", {"sex": 0.0})
    ]


def test_what_cannot_be_used_is_excluded_with_its_reason(make: Make) -> None:
    ids = ("001-Guys-1", "002-Guys-2", "003-HH-3", "003-HH-4", "004-IOP-5", "005-IOP-6")
    rows = [(1, 50, "M"), (2, "", "M"), (3, 50, "F"), (4, 7, "F"), (6, 50, "F"), (1, "", "M")]
    scan = READER.scan(str(make([f"IXI{i}-T1.nii.gz" for i in ids], rows)))
    assert [s.id for s in scan.samples] == ["IXI001"]
    assert {r.id: r.reason for r in scan.rejected} == {
        "IXI002": "no label in the table",
        "IXI003": "2 T1 images of this id, and one age",
        "IXI004": "label 7 is outside the possible range 15 to 100 years",
        "IXI005": "the table has no row of this id",
        "IXI006": "no T1 image of this id",
    }


def test_a_wrong_folder_says_what_to_do(make: Make) -> None:
    with pytest.raises(SourceError, match=r"IXI002-Guys-0828-T1\.nii\.gz"):
        READER.scan(str(make(["IXI002-Guys-0828-T2.nii.gz"])))
    folder = make(["IXI002-Guys-0828-T1.nii.gz"], None, name="other")
    with pytest.raises(SourceError, match=r"no IXI\.xls"):
        READER.scan(str(folder))
    (folder / "IXI.csv").write_text("who,when\n1,2\n")
    with pytest.raises(LabelTableError, match="no column 'IXI_ID' or 'MRID'"):
        READER.scan(str(folder))


def test_posterior_superior_right_becomes_right_anterior_superior(tmp_path: Path) -> None:
    path = tmp_path / "IXI002-Guys-0828-T1.nii.gz"
    path.write_bytes(nifti())
    image = Decoded.of(READER.decode(str(path)))
    stored = np.asarray(nib.load(path).dataobj)
    np.testing.assert_array_equal(image.pixels, stored.transpose(2, 0, 1)[:, ::-1])
    assert image.spacing == (3.0, 1.0, 2.0)


def test_broken_volumes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "IXI002-Guys-0828-T1.nii.gz"
    for data, reason in (
        (nifti()[:900], "not a readable NIfTI"),
        (b"", "the file is empty"),
        (nifti((16, 20, 12, 3)), "3 axes"),
    ):
        path.write_bytes(data)
        with pytest.raises(DecodeError, match=reason):
            READER.decode(str(path))


def test_the_real_volumes(ixi_folder: Path, tmp_path: Path) -> None:
    scan = READER.scan(str(ixi_folder))
    assert len(scan.samples) == 10
    assert not scan.rejected
    assert {s.site for s in scan.samples} == {"HH"}
    ages = {s.id: s.target for s in scan.samples}
    assert (ages["IXI012"], ages["IXI014"]) == (38.78, 34.24)
    sexes = {s.id: s.covariates["sex"] for s in scan.samples}
    assert (sexes["IXI012"], sexes["IXI014"]) == (1.0, 0.0)
    for sample in scan.samples[:2]:
        image = Decoded.of(READER.decode(sample.address))
        raw = nib.load(sample.address.removeprefix("file://"))
        assert nib.aff2axcodes(raw.affine) == ("P", "S", "R")
        np.testing.assert_array_equal(
            image.pixels, np.asarray(raw.dataobj, np.float32).transpose(2, 0, 1)[:, ::-1]
        )
        assert image.pixels.shape == (90, 120, 120)
        assert image.spacing == (2.0, 2.0, 2.0)


def test_the_real_heads_stand_upright_in_the_store(ixi_folder: Path, tmp_path: Path) -> None:
    store = prepare(DATASET, ixi_folder, cache=tmp_path)
    assert len(store) == 10
    for image in store.images[:, 0].astype(float):
        bright = image > 60
        # left and right mirror each other, front and back or top and bottom do not
        likeness = [
            np.corrcoef(image[16:72, 16:96, 40:100].ravel(), flipped.ravel())[0, 1]
            for flipped in (
                image[::-1][16:72, 16:96, 40:100],
                image[:, ::-1][16:72, 16:96, 40:100],
            )
        ]
        assert likeness[0] > likeness[1]
        # air above the head, the neck below
        assert bright[:, :, :8].sum() > bright[:, :, -8:].sum()

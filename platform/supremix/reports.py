"""Reports on runs, and what runs differ in, at any address: `report`, `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import supremix_reports
from supremix.errors import SpecError
from supremix.storage.paths import Address, to_path, write_bytes
from supremix.storage.retry import storage_errors
from supremix_reports import Catalog, collect
from supremix_reports.report.differences import Differences, compare_runs
from supremix_reports.report.files import FORMATS
from supremix_reports.report.report import Options, WrittenReport, write_report
from supremix_reports.statistics.conformal.choices import BiasCorrection

if TYPE_CHECKING:
    import polars as pl

HOME = "report"
"""Where a report goes by default: a folder of this name in that of the one run it is about, else
here."""


def report(
    runs: Address | Sequence[Address],
    out: Address | None = None,
    *,
    reference: str | None = None,
    split: str | None = None,
    title: str | None = None,
    ids: bool = False,
    paths: bool = False,
    with_images: bool = False,
    correct_bias: BiasCorrection | None = None,
    formats: Sequence[str] = FORMATS,
    date: str | None = None,
) -> WrittenReport:
    """Write a report on runs: a page, text, tables for a paper, figures.

    Args:
        runs: A run folder, the folder of a comparison, a benchmark or a search over several
            datasets, a folder that holds any of these; or several. At any address.
        out: Folder of the report; None for ``report`` in the folder of the only one given, else in
            the working directory.
        reference: Method that the others are compared with; None for that of the benchmark, else
            ``l1``, and where that is not among them for the first.
        split: Split whose errors are shown, ``"test"`` or ``"val"``; None for test, or for
            validation where every run was asked for without a test.
        title: Of the report; None for one made of methods and datasets.
        ids: Whether the worst samples are named. Without, no sample and no patient is.
        paths: Whether paths and addresses are shown whole, not by their last name.
        with_images: Whether the explanation maps of the runs are shown: pictures of patients.
        correct_bias: Correction of the bias towards the mean, ``"cole"`` or ``"beheshti"``, whose
            errors are shown next to the uncorrected ones; None for none.
        formats: What is written: any of ``html``, ``md``, ``tex``, ``png``, ``pdf``.
        date: The day on the report; None for today (UTC).

    Returns:
        Where it is, its files, what is wrong with any run, and the tables of results.

    Raises:
        ReportError: No run, an unknown reference, format, split or correction, or `out` is a run's
            folder.
        RunFolderError: The storage cannot be read or written.
    """
    addresses = _addresses_of(runs)
    home = f"{addresses[0].rstrip('/')}/{HOME}" if len(addresses) == 1 else HOME
    target = to_path(home if out is None else out)
    options = Options(
        reference=reference,
        split=split,
        title=title,
        ids=ids,
        paths=paths,
        with_images=with_images,
        correct_bias=correct_bias,
        formats=tuple(formats),
        date=date,
    )
    with storage_errors(str(target)):
        return write_report(addresses, str(target), options)


def compare(*runs: Address, split: str | None = None, paths: bool = False) -> Differences:
    """Compare runs: the differences of request, versions, best hyperparameters and errors.

    Args:
        runs: Run folders, or folders that hold several, at any address.
        split: Split whose errors are compared, ``"test"`` or ``"val"``; None as for `report`.
        paths: Whether paths and addresses are shown whole, not by their last name.

    Returns:
        The differences. Errors are compared with the first run on the same dataset, patient by
        patient, where both were measured on the same samples.

    Raises:
        ReportError: Fewer than two runs.
        RunFolderError: The storage cannot be read.
        SpecError: There is no such split.
    """
    if split not in (None, "test", "val"):
        raise SpecError(f"errors are compared on the split test or val, not {split!r}.")
    addresses = _addresses_of(runs)
    with storage_errors(", ".join(addresses)):
        return compare_runs(addresses, split=split, paths=paths)


def results(
    runs: Address | Sequence[Address] = "runs",
    table: str = "mae",
    where: str | None = None,
    columns: Sequence[str] | None = None,
) -> pl.LazyFrame:
    """Return one table of all runs at some addresses.

    Args:
        runs: A run, the folder of several, or a folder or bucket with any number of them, at most
            four deep, on disk or at any fsspec address; or several of these.
        table: ``"trials"``, ``"curves"``, ``"predictions"``, ``"measures"``, ``"mae"``, or
            ``"runs"`` (which runs there are) or ``"problems"`` (what is wrong with any of them).
        where: A condition in DuckDB's SQL, such as ``"dataset = 'hc18' AND metric = 'mae'"``; None
            for all rows.
        columns: Names of columns, or expressions of DuckDB's SQL; None for all columns.

    Returns:
        The rows, read when the frame is collected. What cannot be used of a run is not among them,
        but in the table "problems".

    Raises:
        QueryError: There is no such table, or the condition or a column is not understood.
        TableError: There is nothing at an address.
        RunFolderError: An address is out of reach.
    """
    addresses = _addresses_of(runs)
    with storage_errors(", ".join(addresses)):
        return supremix_reports.results(addresses, table, where, columns)


def _addresses_of(runs: Address | Sequence[Address]) -> list[str]:
    """One address, or several, as texts: local ones absolute."""
    if isinstance(runs, Sequence) and not isinstance(runs, str):
        return [str(to_path(address)) for address in runs]
    return [str(to_path(runs))]


def open_catalog(runs: Address | Sequence[Address]) -> Catalog:
    """Collect all runs at some addresses, to be asked in SQL; close it after use.

    Args:
        runs: As for `results`.

    Raises:
        TableError: There is nothing at an address.
        RunFolderError: An address is out of reach.
    """
    addresses = _addresses_of(runs)
    with storage_errors(", ".join(addresses)):
        return Catalog(collect(addresses))


def write_file(address: Address, content: bytes) -> None:
    """Write a file whole or not at all, at any address.

    Raises:
        RunFolderError: The storage is out of reach, or refuses.
    """
    with storage_errors(str(address)):
        write_bytes(to_path(address), content)

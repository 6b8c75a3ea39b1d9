"""Pictures of the best, median and worst cases of runs, with what their predictions come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from supremix_reports.document.parts import Missing, Paragraph, Part, Picture, Section
from supremix_reports.errors import TableError
from supremix_reports.figures.plot import plot_name
from supremix_reports.report.data import ReportData
from supremix_reports.report.entries import Entry
from supremix_reports.run_layout import EXPLANATIONS
from supremix_reports.tables import storage

_METHODS: Final = {
    "occlusion": "colours show by how much the prediction falls (red) or rises (blue) when a box "
    "there is hidden",
    "grad-cam": "colours show what raises the prediction most, by the gradients of a layer",
}
_WARNING: Final = (
    "These are pictures of patients, asked for by --with-images. Share the report only with those "
    "who may see the images."
)


def explanations_section(data: ReportData, *, ids: bool) -> Section:
    """Return the explanation maps of all runs that have some.

    Args:
        data: The runs.
        ids: Whether samples are named, with exact labels.
    """
    parts: list[Part] = [Paragraph(text=_WARNING, tone="warning")]
    for entry in data.entries:
        found = [part for method in _METHODS for part in _pictures(entry, method, ids=ids)]
        title = f"{entry.method} on {entry.run.dataset}"
        reason = (
            "the run has no explanation maps; make them first: "
            f"supremix predict {entry.run.name} --explain occlusion"
        )
        parts += found or [Missing(title=title, reason=reason)]
    return Section(key="explanations", title="Explanation maps", parts=tuple(parts))


def _pictures(entry: Entry, method: str, *, ids: bool) -> list[Part]:
    folder = storage.join(entry.run.address, f"{EXPLANATIONS}/{method}")
    try:
        if not storage.exists(storage.join(folder, "cases.json")):
            return []
        cases = json.loads(storage.read_bytes(storage.join(folder, "cases.json")))
        return [_picture(entry, folder, one, ids=ids) for one in cases]
    except (OSError, ValueError, KeyError, TypeError, TableError):
        return [Missing(title=f"Explanation maps by {method}", reason="their files are damaged.")]


def _picture(entry: Entry, folder: str, case: Mapping[str, Any], *, ids: bool) -> Part:
    title = f"{case['case'].capitalize()} case of {entry.method} on {entry.run.dataset}"
    if case["problem"] is not None:
        return Missing(title=title, reason="its image could not be read.")
    name, digits = (f" ({case['name']})", 4) if ids else ("", 2)
    true, predicted = (f"{float(f'{case[key]:.{digits}g}'):g}" for key in ("target", "prediction"))
    text = (
        f"True {entry.target} {true} {case['unit']}, predicted {predicted}. By {case['method']}: "
        f"{_METHODS[case['method']]}."
    )
    return Picture(
        name=plot_name("explanation", entry.run.name, case["method"], case["case"]),
        title=title + name,
        caption=text,
        alt=f"An image of a patient with a map of what its prediction comes from. {text}",
        files={"png": storage.read_bytes(storage.join(folder, case["picture"]))},
    )

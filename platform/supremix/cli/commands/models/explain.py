"""`supremix predict --explain`: explanation maps of predictions."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from supremix.cli.views.progress import Display, ProgressConsole
from supremix.cli.views.search import print_plain


def show_explanations(
    model: str,
    images: list[str] | None,
    method: str,
    out: str | None,
    covariates: Mapping[str, float | str],
    *,
    ensemble: bool,
    quiet: bool,
) -> list[tuple[str, str]]:
    """Write explanation maps and show where they are.

    Returns:
        The images without one, each with the reason.
    """
    import supremix
    from supremix.progress.progress import Steps

    with Display(ProgressConsole(), f"explaining {model}", quiet=quiet) as display:
        steps = Steps("explaining images", display)
        found = supremix.explain(
            model,
            images or None,
            method,
            out,
            covariates=covariates,
            ensemble=ensemble,
            progress=steps,
        )
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for one in found:
        if one.problem is None:
            case = f"{one.case}: " if one.case else f"{one.name}: "
            true = "" if one.target is None else f", true {one.target:.4g}"
            text = f"{case}{one.prediction:.4g} {one.unit}{true}; {one.picture}, {one.map}"
            print_plain(console, text)
    where = out or f"{model.rstrip('/')}/explanations/{method}"
    print_plain(console, f"the maps are in {where}; they are pictures of patients")
    return [(one.case or one.name, one.problem) for one in found if one.problem is not None]

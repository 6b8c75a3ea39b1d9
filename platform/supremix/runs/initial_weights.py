"""The weights that the trials of a run start from, kept in its folder."""

from __future__ import annotations

from supremix._errors import TaskError
from supremix.models import EncoderSpec
from supremix.runs.folder import RunFolder
from supremix.training.artifacts.foreign_weights import fit_weights
from supremix.training.artifacts.pretrained import Initial, model_folder
from supremix.training.artifacts.weights_file import is_weights_file
from supremix_datasets.cards.card import Card


def keep_initial(
    run: RunFolder | None, address: str, spec: EncoderSpec, card: Card, *, least: float
) -> None:
    """Check that a model or a file of weights fits trials, and copy it into their run, once.

    Args:
        run: The run folder; None only checks. One that has a copy is not written again, and that
            copy is checked.
        address: The folder of a run or model, or a file of weights.
        spec: Encoder of the trials.
        card: Dataset of the trials.
        least: Least share of the encoder's parameters that a file has to have.

    Raises:
        TaskError: It cannot be read, or does not fit.
    """
    if run is not None and run.has_pretrained():
        Initial.read(run.pretrained).check(spec, card)
    elif is_weights_file(address):
        files = fit_weights(address, spec, card, least=least)
        if run is not None:
            run.keep_weights(files)
    else:
        model = model_folder(address)
        # The original is looked at, so that a refusal names what the user named.
        Initial.read(model).check(spec, card)
        if run is not None:
            run.keep_pretrained(model)


def check_unchanged(initial: Initial, began_with: str | None) -> None:
    """Check that a resumed run still has the weights that it began with.

    Args:
        initial: The run's copy.
        began_with: SHA-256 of the weights that it noted; None for a run that begins.

    Raises:
        TaskError: They are others.
    """
    if began_with is not None and initial.digest != began_with:
        raise TaskError(
            f"the weights in {str(initial.folder)!r} have changed since the run began: expected "
            f"SHA-256 {began_with[:12]}, found {initial.digest[:12]}. Put the old file back, or "
            "start a new run from the new one"
        )

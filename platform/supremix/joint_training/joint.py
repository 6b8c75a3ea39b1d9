"""Joint training from Python: one encoder on several datasets, and each dataset alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from upath import UPath

from supremix._display import Displayed
from supremix.errors import RunFolderError, SpecError
from supremix.joint_training.driver import JointSpec, run_joint
from supremix.joint_training.report import ALONE, JOINT, JointRow, joint_rows
from supremix.progress.notebook import default_listener
from supremix.progress.progress import Listener
from supremix.runs.folder import RunFolder, new_run_folder, removed_if_refused
from supremix.runs.result import RunTables
from supremix.search.request.declaration import MACHINE
from supremix.search.request.keywords import TrainingKeywords
from supremix.search.request.python import check_several, checked, takes_options
from supremix.search.spec import SearchSpec
from supremix.storage.paths import Address, children
from supremix.storage.retry import storage_errors
from supremix.training import Method, TrainedModel
from supremix.training.artifacts.format import DESCRIPTION
from supremix.training.artifacts.loading import load
from supremix_datasets import Dataset


@dataclass(frozen=True, repr=False)
class JointResult(Displayed, RunTables):
    """The result of a joint training, read from its run folder.

    Args:
        path: The run folder.
    """

    path: UPath

    @property
    def rows(self) -> list[JointRow]:
        """Each dataset's errors on validation and test, trained jointly and alone."""
        return joint_rows(self.predictions, self.mae)

    def facts(self) -> dict[str, str]:
        """The error of each dataset, trained jointly and alone, and the folder."""
        errors = {
            f"{row.dataset} ({row.split})": f"MAE {row.joint.value:.4g} {row.unit}"
            + (f", alone {row.alone.value:.4g}" if row.alone else "")
            for row in self.rows
        }
        return {**errors, "folder": str(self.path)}

    def load(self, dataset: str, *, alone: bool = False, **objects: Any) -> TrainedModel:
        """The model of a dataset, to predict with; `objects` as for `supremix.load`.

        Raises:
            RunFolderError: There is no such model.
        """
        folder = self.path / (ALONE if alone else JOINT) / dataset
        with storage_errors(str(folder)):
            found = (folder / DESCRIPTION).is_file()
        if not found:
            raise RunFolderError(f"there is no model in {folder}; see the folder {folder.parent}.")
        return load(folder, **objects)


@takes_options("joint", but=("shape", "overrides"))
def joint(
    datasets: Sequence[str | Dataset],
    sources: Mapping[str, str] | None = None,
    method: str | Method = "supremix",
    *,
    config: Mapping[str, Any] | None = None,
    alone: bool = True,
    shapes: Mapping[str, Sequence[int]] | None = None,
    out: Address | None = None,
    progress: Listener | None = None,
    **options: Unpack[TrainingKeywords],
) -> JointResult:
    """Train one encoder on several datasets at once, and on each alone with the same budget.

    Args:
        datasets: Names of datasets, or `Dataset` objects, each once; the shared weights start from
            those of the first one's network.
        sources: By dataset the folder of its images; phantoms where one is left out and has some.
        method: Name of a method, or an object of your own.
        config: Hyperparameters of the method in place of its defaults; "DATASET.NAME" for one
            dataset.
        alone: Whether each dataset is trained alone as well.
        shapes: By dataset the grid of its prepared images, where that is not the card's.
        out: Run folder, or its fsspec address; None for a new one below ``runs/``. One that holds
            the same joint training is continued, from the last epoch of the part it was at.
        progress: Called with a `Progress` at every step; by default a bar in a notebook.
        **options: The options of each training.

    Returns:
        The errors, and the models.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the request cannot be carried out.
        SearchInterrupted: Ctrl-C or SIGTERM; the same call with the same `out` continues.
    """
    common = checked(joint, options) | {"method": method, "concurrent_trials": 1, "trials": 1}
    parts = _parts(datasets, sources or {}, shapes or {}, common)
    spec = JointSpec(parts=parts, config=dict(config or {}), alone=alone)
    names = "+".join(parts), parts[next(iter(parts))].resolve_method().name
    run = RunFolder(new_run_folder(names[0], f"joint-{names[1]}") if out is None else out)
    return _run(spec, run, progress or default_listener("training on several datasets"))


def _parts(
    datasets: Sequence[str | Dataset],
    sources: Mapping[str, str],
    shapes: Mapping[str, Sequence[int]],
    common: Mapping[str, Any],
) -> dict[str, SearchSpec]:
    """The specification of each dataset's own training, by the dataset's name."""
    check_several(sources, datasets=datasets)
    if not datasets:
        raise SpecError("name the datasets to train on together, such as ukb-t1 and adni-amyloid.")
    parts: dict[str, SearchSpec] = {}
    for dataset in datasets:
        given = dataset if isinstance(dataset, str) else dataset.card.name
        source, shape = sources.get(given), shapes.get(given)
        part = SearchSpec(
            dataset=dataset,
            source=source,
            shape=None if shape is None else tuple(shape),
            **common,
        )
        name = part.resolve_dataset().card.name
        if name in parts:
            raise SpecError(f"dataset {name!r} is named twice; name each dataset once.")
        parts[name] = part
    known = {d if isinstance(d, str) else d.card.name for d in datasets}
    for name in [*sources, *shapes]:
        if name not in known:
            raise SpecError(
                f"a source or shape is given for {name!r}, which is not among the datasets "
                f"{', '.join(sorted(known))}."
            )
    return parts


def _run(spec: JointSpec, run: RunFolder, listen: Listener) -> JointResult:
    with storage_errors(str(run.path)):
        fresh = not run.spec.is_file()
    if fresh:
        run.create(spec.to_dict())
    elif _asked(run.read_spec()) != _asked(json.loads(json.dumps(spec.to_dict()))):
        raise RunFolderError(
            f"{run.path} holds another run. Continue it by the same call or command that started "
            f"it (its {run.spec.name} holds the request), or name another folder."
        )

    def remove() -> None:
        if fresh and not any(children(run.checkpoints)):
            run.remove()

    with removed_if_refused(remove):
        run_joint(spec, run, listen)
    return JointResult(run.path)


def _asked(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The request without where it runs, which may change."""
    parts = dict(spec.get("joint", {}))
    return {
        **spec,
        "joint": {n: {k: v for k, v in p.items() if k not in MACHINE} for n, p in parts.items()},
    }

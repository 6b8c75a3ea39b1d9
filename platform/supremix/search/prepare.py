"""The preparation of a search: its worker groups, images, splits, space and task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from upath import UPath

import supremix_datasets
from supremix.cluster import WorkerGroupPlan, cluster_nodes, plan_worker_groups, ray_map
from supremix.errors import SpecError
from supremix.models.own_encoder import cannot_be_imported
from supremix.progress.progress import Listener, Progress, Steps
from supremix.runs.folder import RunFolder, describe_environment, read_json, write_json_once
from supremix.runs.initial_weights import check_unchanged, keep_initial
from supremix.search.checks import numbers_of
from supremix.search.length import TrainedImages, choose_epochs, kept_epochs
from supremix.search.spec import SearchSpec
from supremix.storage.retry import storage_errors
from supremix.training import Initial, Task, fitted, preflight
from supremix.training.artifacts.foreign_weights import keys_in_words
from supremix.training.length import Length
from supremix.training.steps.gradient_cache import cuts
from supremix.tuning.study.budget import Budget
from supremix_datasets import Store
from supremix_datasets.cards.card import Card
from supremix_spaces import Space


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The worker groups and images that searches on the same data share.

    Args:
        plan: The worker groups.
        store: The prepared images.
        splits: (N,) split of each image: train, val or test.
    """

    plan: WorkerGroupPlan
    store: Store
    splits: Any

    @property
    def copies(self) -> str:
        """A sentence on images that occur under several patients; empty where there are none."""
        store, apart = self.store, self.copies_apart
        if not store.copies:
            return ""
        text = f"{store.card.name}: {store.describe_copies()}"
        if not apart:
            return f"{text}; each is in one split."
        return (
            f"{text}; {apart} of {len(store.copies)} are in several splits, so errors look better "
            "than they are. Give them one patient if they are of one, or keep them together: "
            "--keep-copies-together."
        )

    @property
    def copies_apart(self) -> int:
        """Number of images that occur under several patients and in several splits."""
        return sum(len(set(self.splits[rows])) > 1 for rows in self.store.copies)


@dataclass(frozen=True, kw_only=True)
class PreparedSearch:
    """A search that is ready for its first trial."""

    spec: SearchSpec
    run: RunFolder
    store: Store
    plan: WorkerGroupPlan
    task: Task
    space: Space
    labels: Any
    """(N,) labels that the trials are fitted to."""
    reference: float
    """Mean absolute error on validation of always predicting the training labels' median."""
    grid_path: UPath
    """Folder of the grid that the search is part of, or its own; earlier runs lie next to it."""
    listen: Listener
    copies: str = ""
    """`Resources.copies`."""
    final_epochs: int = 0
    """Epochs of the final training, where these are more than those of a trial."""

    @property
    def trained_images(self) -> TrainedImages:
        """The training images of its trials."""
        return TrainedImages(
            spec=self.spec,
            config=self.space.defaults(),
            card=self.store.card,
            images=len(self.labels),
        )

    @property
    def length(self) -> Length:
        """The length of a trial of the default hyperparameters."""
        return self.trained_images.length(self.task.epochs)

    def with_epochs(self, epochs: int) -> PreparedSearch:
        """The same with trials of so many epochs."""
        return dataclasses.replace(self, task=dataclasses.replace(self.task, epochs=epochs))

    @property
    def final_training_epochs(self) -> int:
        """Epochs of the final training, never fewer than those of a trial."""
        return max(self.task.epochs, self.final_epochs)

    def final_task(self, seed: int) -> Task:
        """The task of the final training, on training and validation data."""
        # Validation has done its work; its images are too many to leave out of the final model.
        return dataclasses.replace(
            self.task,
            train_splits=("train", "val"),
            eval_split=None,
            seed=seed,
            epochs=self.final_training_epochs,
        )

    @property
    def source(self) -> dict[str, str]:
        """Columns of every row of the search's tables: run, dataset and method."""
        names = self.run.name, self.store.card.name, self.spec.resolve_method().name
        return dict(zip(("run", "dataset", "method"), names, strict=True))


def prepare_store(
    spec: SearchSpec, listen: Listener, expected: Mapping[str, Any] | None = None
) -> Store:
    """Decode the dataset into its store, in Ray tasks; at once when that was done before.

    Args:
        spec: Specification of a search on it.
        listen: Listener that is called at every step.
        expected: `Store.identity` of the store that it has to be; None for any.
    """
    return supremix_datasets.prepare(
        spec.dataset,
        spec.resolve_source(),
        cache=spec.cache,
        shared=spec.stores,
        mapper=ray_map,
        progress=Steps("preparing images", listen),
        phantom_progress=Steps("writing phantoms", listen),
        shape=spec.shape,
        phantoms=spec.phantoms,
        expected=expected,
    )


def kept_identity(run: RunFolder) -> Any:
    """`Store.identity` of the data that a run began with; None before it has begun."""
    with storage_errors(str(run.environment)):
        begun = run.environment.is_file()
    return read_json(run.environment).get("data") if begun else None


def find_resources(
    spec: SearchSpec, listen: Listener, expected: Mapping[str, Any] | None = None
) -> Resources:
    """See what the cluster has room for, and prepare the images.

    Args:
        spec: Specification of a search.
        listen: Listener that is called at every step.
        expected: `kept_identity` of a run that is resumed; None for a new one.

    Raises:
        DataChangedError: The data are not those that are expected.
        USER_ERRORS: The images cannot be used, or the cluster lacks what is asked for.
    """
    nodes = cluster_nodes()
    plan = plan_worker_groups(
        nodes,
        workers=spec.workers,
        count=spec.concurrent_trials,
        cpus=spec.cpus_per_worker,
        gpus=spec.gpus_per_worker,
        span_nodes=spec.span_nodes,
    )
    store = prepare_store(spec, listen, expected)
    resources = Resources(plan=plan, store=store, splits=splits_of(spec, store))
    if resources.copies:
        listen(Progress(message=resources.copies, warning=True))
    return resources


def splits_of(spec: SearchSpec, store: Store) -> Any:
    """(N,) split of each image: train, val or test."""
    return supremix_datasets.assign(
        store.index,
        seed=spec.split_seed,
        fractions=spec.fractions,
        keep_copies_together=spec.keep_copies_together,
        fold=spec.resolve_fold(),
    )


def make_task(spec: SearchSpec, store: Store, plan: WorkerGroupPlan) -> Task:
    """The task that trials share, but for its epochs and a pretrained encoder."""
    shared = spec.stores
    return Task(
        store=store.path
        if shared is None
        else supremix_datasets.shared_address(shared, store.name),
        cache=spec.cache,
        method=spec.method,
        encoder=spec.encoder_spec(),
        seed=spec.seed,
        split_seed=spec.split_seed,
        fractions=spec.fractions,
        keep_copies_together=spec.keep_copies_together,
        fold=spec.resolve_fold(),
        precision=spec.precision,
        threads=plan.threads,
        label_fraction=spec.label_fraction,
        flips=True,
        chunk=spec.chunk,
        deterministic=spec.deterministic,
        compile=spec.compile,
    )


def prepare_search(
    spec: SearchSpec,
    run: RunFolder,
    resources: Resources,
    listen: Listener,
    grid_path: UPath | None = None,
) -> PreparedSearch:
    """Check a search against its data, and note in its folder what it runs on.

    Args:
        spec: Specification of the search.
        run: Its folder.
        resources: Worker groups and images.
        listen: Listener that is called at every step.
        grid_path: Folder of the grid that the search is part of, None for `run`.

    Raises:
        USER_ERRORS: It cannot be carried out; nothing was trained.
    """
    plan, store, splits = resources.plan, resources.store, resources.splits
    task = make_task(spec, store, plan)
    initial = _initial(spec, run, store.card, listen)
    if initial is not None:
        task = dataclasses.replace(task, pretrained=str(initial.folder))
    problem = None if task.encoder.builder is None else cannot_be_imported(task.encoder.builder)
    if problem is not None:
        listen(Progress(message=problem, warning=True))
    fit, card = fitted(task, store, splits), store.card
    space = kept_space(run)
    if space is None:
        space = spec.resolve_space(
            window=card.window,
            label_bin=card.label_bin,
            label_scale=card.label_scale,
            volumes=len(card.shape) == 3,
            train_size=len(fit),
        )
    if spec.lenient and not cuts(task, space.defaults(), card):
        task = dataclasses.replace(task, chunk=None)
    prepared = PreparedSearch(
        spec=spec,
        run=run,
        store=store,
        plan=plan,
        task=task,
        space=space,
        labels=store.targets[fit],
        reference=_reference(store.targets[fit], store.targets[splits == "val"]),
        copies=resources.copies,
        grid_path=run.path if grid_path is None else grid_path,
        listen=listen,
    )
    prepared = prepared.with_epochs(kept_epochs(run) or choose_epochs([prepared.trained_images]))
    for config in (*_checked_configs(space), *spec.starting_points(space)):
        preflight(prepared.task, config, workers=plan.workers)
    check_budget(spec.budget(), plan)
    _describe(run, resources, len(fit), initial)
    keep_space(run, space)
    return prepared


def _checked_configs(space: Space) -> list[dict[str, Any]]:
    """The defaults, and these with the smallest batch that is searched."""
    defaults = space.defaults()
    sizes = numbers_of(space.parameters.get("batch_size"))
    return [defaults, {**defaults, "batch_size": int(min(sizes))}] if sizes else [defaults]


def kept_space(run: RunFolder) -> Space | None:
    """The space that a run began with; None before it has begun."""
    with storage_errors(str(run.space)):
        begun = run.space.is_file()
    return Space.from_dict(read_json(run.space)) if begun else None


def keep_space(run: RunFolder, space: Space) -> None:
    """Write down what is searched; a resumed run keeps what it began with."""
    write_json_once(run.space, space.to_dict())


def _reference(train_labels: Any, val_labels: Any) -> float:
    return float(np.abs(val_labels - np.median(train_labels)).mean())


def check_pretrained(spec: SearchSpec, run: RunFolder | None = None) -> None:
    """Check that the weights that trials start from fit, before a cluster is started.

    Args:
        spec: Specification of the search.
        run: Its folder, which gets a copy; None for none.

    Raises:
        TaskError: They cannot be read, or do not fit; the message says what to do.
    """
    if spec.pretrained is not None:
        card, encoder = spec.resolve_dataset().card, spec.encoder_spec()
        keep_initial(run, spec.pretrained, encoder, card, least=spec.min_matched)


def _initial(spec: SearchSpec, run: RunFolder, card: Card, listen: Listener) -> Initial | None:
    """The run's own copy of the weights that trials start from, once they are known to fit."""
    if spec.pretrained is None:
        return None
    keep_initial(run, spec.pretrained, spec.encoder_spec(), card, least=spec.min_matched)
    initial = Initial.read(run.pretrained)
    with storage_errors(str(run.environment)):
        begun = run.environment.is_file()
    noted = read_json(run.environment).get("pretrained") if begun else None
    check_unchanged(initial, None if noted is None else noted["weights"])
    if initial.keys is not None:
        listen(Progress(message=keys_in_words(initial.keys)))
    return initial


def _describe(run: RunFolder, resources: Resources, labelled: int, initial: Initial | None) -> None:
    store, splits = resources.store, resources.splits
    counts = {name: int((splits == name).sum()) for name in ("train", "val", "test")}
    content = describe_environment(
        cluster_nodes(),
        plan=dataclasses.asdict(resources.plan),
        dataset=store.card.name,
        unit=store.card.unit,
        data=store.identity,
        copies={"images": len(store.copies), "apart": resources.copies_apart},
        images=counts,
        labelled=labelled,
        excluded=len(store.quarantine),
        pretrained=None if initial is None else initial.facts(),
    )
    write_json_once(run.environment, content)


def check_budget(budget: Budget, plan: WorkerGroupPlan) -> None:
    """Check that a budget's limits can ever be reached on a plan's worker groups.

    Raises:
        SpecError: It counts the hours of GPUs, of which the worker groups have none.
    """
    if budget.gpu_hours is not None and plan.group_gpus <= 0:
        raise SpecError(
            f"the budget is {budget.gpu_hours:g} GPU hours, but the workers get no GPU, so it "
            "would never be used up. Give --time or --trials instead, or GPUs "
            "(--gpus-per-worker) where the cluster has some."
        )

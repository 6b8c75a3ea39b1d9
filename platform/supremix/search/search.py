"""The programmatic interface: `Search`, `prepare`, `datasets`, `load`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from upath import UPath

from supremix.models import EncoderSpec
from supremix.progress.progress import Listener, silent
from supremix.runs.folder import RunFolder, new_run_folder, removed_if_refused
from supremix.runs.result import Result
from supremix.search.driver import run_search
from supremix.search.spec import SearchSpec
from supremix.storage.paths import Address
from supremix.training import Method
from supremix.tuning.ledger.ledger import read_events
from supremix_datasets import Dataset
from supremix_spaces import Space


class Search:
    """A search for the settings of least validation error.

    Args:
        dataset: Name of a dataset (see `datasets`), or a `Dataset` of your own: card and reader.
        source: Folder or address of the official download; ``"phantom"``, or None where the
            dataset has one, for generated images.
        method: Name of a method, or an object of your own.
        trials: Trials to run; None for no limit.
        time: Wall time in s.
        gpu_hours: Hours that GPUs train, added up over all of them. One of `trials`, `time` and
            `gpu_hours` has to be given.
        seed: Of the search and of every trial's training.
        space: What to search: None for the method's preset, a TOML or JSON file that overrides
            parts of it, or a `Space`.
        overrides: Overrides as on the command line: ``"temperature=0.05..1.0:log"``,
            ``"batch_size=16,32"``, ``"head=probe"``.
        encoder: Name, `EncoderSpec`, or a callable ``(spatial_dims, channels) -> nn.Module``.
        width: First stage's channels of a named encoder.
        depth: Depth of a named encoder.
        norm: Normalisation of a named encoder: ``"batch"``, ``"group"`` or ``"instance"``.
        epochs: Epochs of a trial, both stages together.
        shape: Grid of the prepared images, None for the dataset card's.
        phantoms: Number of phantoms to generate, None for the dataset's default.
        fractions: Shares of training, validation and test where there is no official split.
        split_seed: Of that split; the same for all searches that are to be compared.
        workers: Ray Train workers a worker group; a trial's batch is shared among them.
        concurrent_trials: Trials at once; None for as many as fit the cluster.
        cpus_per_worker: CPUs (and torch threads) a worker.
        gpus_per_worker: GPUs a worker, may be a fraction.
        prune: Whether trials that fall behind are given up (asynchronous halving).
        grace: Epochs before the first such decision.
        reduction: One in so many trials passes a rung of the halving.
        label_fraction: Fraction of the training patients whose labels are used, in (0, 1];
            validation and test keep all of theirs.
        pretrained: Run folder, or model folder, of an earlier search whose encoder the trials start
            from; of the same encoder, width, depth, image dimensions and channels.
        finalists: Best settings that are trained anew at the end, before one is named best.
        confirm_seeds: New seeds each of them is trained with; 0 for none.
        warm_start: Whether the search starts from what earlier ones of the same method found, on
            this dataset and others, whose run folders lie beside its own.
        test: Whether the best settings are retrained on training and validation data and judged,
            once, on the test split.
        test_seeds: Seeds with which they are retrained for that, `seed` and those after it; the
            model that is kept is that of `seed`.
        precision: ``"auto"`` (bf16 on a GPU), ``"fp32"``, ``"bf16"`` or ``"fp16"``.
        chunk: Images a forward pass of contrastive pretraining takes on each worker, for batches
            beyond a device's memory; None for all. Wants an encoder without batch normalisation.
        cache: Folder of the prepared stores on this machine, and on every node that trains.
        stores: Address where prepared stores are shared, such as ``s3://bucket/stores``: every
            node fetches what it trains on from there, once. None where all nodes see `cache`.
        address: Ray cluster; None for this machine alone.
        wheel: File of a supremix wheel that the cluster's nodes shall work with; None where
            supremix is installed on them.
        epoch_limit: Seconds an epoch may take before its workers are taken to hang and started
            anew; None for twenty times the trial's longest epoch so far, at least ten minutes.
        tensorboard: Folder for TensorBoard's logs of the trials.
        mlflow: Tracking address of an MLflow server or store that the trials are logged to.
        webhook: Address that is told when the search ends or stalls.
        stall: Seconds without an epoch after which a search counts as stalled; None for
            20 times the longest epoch so far, at least ten minutes, and an hour before the first.
        out: Run folder, or its fsspec address; None for a new one below ``runs/``.
        progress: Called with a `Progress` at every step.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the request cannot be carried out.
    """

    def __init__(
        self,
        dataset: str | Dataset,
        source: str | None = None,
        method: str | Method = "supremix",
        *,
        trials: int | None = None,
        time: float | None = None,
        gpu_hours: float | None = None,
        seed: int = 0,
        space: str | Path | Space | None = None,
        overrides: Sequence[str] = (),
        encoder: str | EncoderSpec | Callable[..., Any] = "resnet",
        width: int | None = None,
        depth: int | None = None,
        norm: str | None = None,
        epochs: int = 60,
        shape: Sequence[int] | None = None,
        phantoms: int | None = None,
        fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
        split_seed: int = 0,
        workers: int = 1,
        concurrent_trials: int | None = None,
        cpus_per_worker: float | None = None,
        gpus_per_worker: float | None = None,
        prune: bool = True,
        grace: int | None = None,
        reduction: float = 3.0,
        finalists: int = 3,
        confirm_seeds: int = 2,
        warm_start: bool = False,
        test: bool = True,
        test_seeds: int = 1,
        label_fraction: float = 1.0,
        pretrained: str | Path | None = None,
        precision: str = "auto",
        chunk: int | None = None,
        cache: str | Path | None = None,
        stores: str | None = None,
        address: str | None = None,
        wheel: str | Path | None = None,
        epoch_limit: float | None = None,
        tensorboard: str | Path | None = None,
        mlflow: str | None = None,
        webhook: str | None = None,
        stall: float | None = None,
        out: Address | None = None,
        progress: Listener | None = None,
    ) -> None:
        spec = SearchSpec(
            dataset=dataset,
            source=None if source is None else str(source),
            method=method,
            trials=trials,
            time=time,
            gpu_hours=gpu_hours,
            seed=seed,
            space=str(space) if isinstance(space, Path) else space,
            overrides=tuple(overrides),
            encoder=encoder,
            width=width,
            depth=depth,
            norm=norm,
            epochs=epochs,
            shape=None if shape is None else tuple(shape),
            phantoms=phantoms,
            fractions=fractions,
            split_seed=split_seed,
            workers=workers,
            concurrent_trials=concurrent_trials,
            cpus_per_worker=cpus_per_worker,
            gpus_per_worker=gpus_per_worker,
            prune=prune,
            grace=grace,
            reduction=reduction,
            finalists=finalists,
            confirm_seeds=confirm_seeds,
            warm_start=warm_start,
            test=test,
            test_seeds=test_seeds,
            label_fraction=label_fraction,
            pretrained=None if pretrained is None else str(pretrained),
            precision=precision,
            chunk=chunk,
            cache=None if cache is None else str(cache),
            stores=stores,
            address=address,
            wheel=None if wheel is None else str(wheel),
            epoch_limit=epoch_limit,
            tensorboard=None if tensorboard is None else str(tensorboard),
            mlflow=mlflow,
            webhook=webhook,
            stall=stall,
        )
        names = spec.resolve_dataset().card.name, spec.resolve_method().name
        self.spec = spec
        self._run = RunFolder(new_run_folder(*names) if out is None else out)
        self._listen: Listener = progress or silent
        self._begun = False

    @classmethod
    def resume(cls, run: Address, *, progress: Listener | None = None, **objects: Any) -> Search:
        """A search that goes on where the one in `run` ended, however it ended.

        Args:
            run: The run folder.
            progress: As for `Search`.
            objects: `address`, `wheel` and `cache` where they are no longer what the search was
                started with, and objects of your own that it was started with and that cannot be
                imported by name, under their argument's name. All else is as specified then.

        Raises:
            RunFolderError: `run` is not the folder of a search.
            SpecError: Something else is given, or such an object is not.
        """
        folder = RunFolder(run)
        search = cls.__new__(cls)
        vars(search).update(
            spec=SearchSpec.from_dict(folder.read_spec(), **objects),
            _run=folder,
            _listen=progress or silent,
            _begun=True,
        )
        return search

    @property
    def path(self) -> UPath:
        """The run folder."""
        return self._run.path

    def run(self) -> Result:
        """Search; returns when the budget is used up and the best settings are concluded.

        Raises:
            USER_ERRORS: See `supremix.errors`.
        """
        fresh = not self._begun
        if fresh:
            self._run.create(self.spec.to_dict())
            self._begun = True
        with removed_if_refused(self._remove if fresh else lambda: None):
            run_search(self.spec, self._run, self._listen)
        return Result(self._run.path)

    def _remove(self) -> None:
        if not read_events(self._run.ledger):
            self._run.remove()
            self._begun = False

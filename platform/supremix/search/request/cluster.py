"""The options of the cluster: where a run runs, and whom it informs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from supremix.search.request.option import CLUSTER, COMMANDS, OUTPUT, PREPARE, TRAININGS, option

_cluster = partial(option, group=CLUSTER)
_output = partial(option, group=OUTPUT)


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The options of the cluster: where a run runs, and whom it informs."""

    workers: int = _cluster(
        1,
        help="Ray Train workers of a worker group, which share each batch of a trial.",
        commands=TRAININGS,
    )
    concurrent_trials: int | None = _cluster(
        help="Trials that run at the same time, each on a worker group; by default as many as fit "
        "the cluster."
    )
    cpus_per_worker: float | None = _cluster(
        help="CPUs, and torch threads, of one worker; by default its GPU's share of the node's, "
        "without GPUs 2 or what there is.",
        commands=TRAININGS,
    )
    gpus_per_worker: float | None = _cluster(
        help="GPUs of one worker, at most 1: 0.5 puts two workers on one GPU, 0 trains on CPUs; by "
        "default 1 where the cluster has GPUs.",
        commands=TRAININGS,
    )
    span_nodes: bool = _cluster(
        False,
        help="Let the workers of a worker group be on several nodes; by default they are on one.",
        commands=TRAININGS,
    )
    address: str | None = _cluster(
        help="Address of the Ray cluster, such as auto or ray://host:10001; by default this "
        "machine alone.",
        commands=COMMANDS,
        resumable=True,
    )
    wheel: str | None = _cluster(
        help="Wheel of supremix that the cluster's nodes install, where supremix is not installed "
        "on them.",
        metavar="FILE",
        resumable=True,
        address=True,
    )
    cache: str | None = _cluster(
        help="Folder of the decoded datasets, on this machine and on every node that trains; by "
        "default $SUPREMIX_CACHE, else ~/.cache/supremix.",
        commands=COMMANDS,
        metavar="FOLDER",
        resumable=True,
        address=True,
    )
    stores: str | None = _cluster(
        help="Address where decoded datasets are shared between nodes (s3://bucket/stores): each "
        "node copies one to its own cache, once. Not needed where all nodes see the same cache.",
        commands=(*TRAININGS, PREPARE),
        metavar="ADDRESS",
        address=True,
    )
    tensorboard: str | None = _output(
        help="Folder for TensorBoard's logs of the trials.", metavar="FOLDER", address=True
    )
    mlflow: str | None = _output(
        help="Tracking address of an MLflow server or store that the trials are logged to.",
        metavar="ADDRESS",
    )
    wandb: str | None = _output(
        help="Project of Weights & Biases, or ENTITY/PROJECT, that the trials are logged to; with "
        "WANDB_MODE=offline they are kept in a folder for wandb sync.",
        metavar="PROJECT",
    )
    webhook: str | None = _output(
        help="Address that gets a message when the search ends or stalls.", metavar="URL"
    )
    stall: float | None = _output(
        help="Time without an epoch after which a search counts as stalled, in seconds or written "
        "like 30m; by default 20 times the longest epoch so far, at least 10m, and 1h before the "
        "first.",
        above=0,
        form="time",
    )

"""The task: everything a trial needs in addition to its configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from supremix._choices import PRECISIONS
from supremix._errors import TaskError
from supremix.methods.base import Method
from supremix.models import FUSIONS, EncoderSpec
from supremix_datasets.folds import Fold

_TRANSFORMS = ("none", "log")


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Data, encoder, length and precision of a training; small and picklable for the workers.

    Args:
        store: Address of the prepared store: a local folder, or any fsspec address, from where
            it is fetched once to the disk of each node that trains.
        cache: Folder for what is fetched; None for the node's default.
        method: A name of `method_names()`, or a `Method` of the user's own (picklable).
        encoder: The encoder to build.
        epochs: All epochs of a trial, both stages together.
        seed: Seed of everything random in the training: weights, order, augmentation, mixing.
        split_seed: Seed of the split where the dataset has no official one.
        fractions: Shares of train, val and test in such a split, adding up to 1.
        keep_copies_together: Whether patients who have an image in common are split as one.
        fold: Fold of a cross-validation that is the test split; None for none.
        train_splits: The splits to fit.
        eval_split: The split whose error is reported after every epoch; None for no such report
            (the final fit on train and val, say), the error is then NaN.
        precision: "fp32", "bf16" or "fp16" (autocast; fp16 scales the loss) while training; "auto"
            is bf16 on a GPU that has it (compute capability 8.0), fp16 on an older one, and fp32 on
            a CPU, where bf16 is refused for 3-D images: its gradients are wrong. The evaluation is
            in fp32.
        threads: CPU threads of this trial; None keeps the process's setting. Results on a CPU are
            the same to the bit only for the same number.
        eval_batch: Images a forward pass of the evaluation takes, of each worker; with `chunk` no
            more than one of training.
        label_fraction: Share of the groups of the fit split that is used, in (0, 1].
        augment: Whether the dataset's augmentation is applied.
        evaluate_every: Epochs between two evaluations; None for one after each of the first ten
            epochs of a stage, later every fourth epoch of a trial while pretraining, and while a
            head is trained each up to epoch 50, every second up to 100, every fourth from then on.
            The last epoch of a stage has one always. In between the last error stands.
        probe_samples: Largest number of samples of a probe (drawn once, by the seed), so that on
            a large dataset it stays a fraction of an epoch; the last one uses all.
        fusion: How covariates join the features, see `supremix.models.Network`.
        target_transform: "none", or "log" to fit the logarithm of the target; None takes the
            dataset card's, if it has one.
        averaging: Time constant of the running average of the weights, which is evaluated and
            kept, as a share of the steps of a stage so far, in [0, 1); of all its steps where the
            schedule of the learning rate is "one-cycle". 0 takes the weights themselves.
        pretrained: Folder of an exported model, visible to all workers, whose encoder the trial
            starts from; None for fresh weights. See `supremix.training.artifacts.pretrained`.
        flips: Whether to average the final predictions over the flips the augmentation allows.
        chunk: Images a forward pass of a contrastive step takes on each worker, for batches whose
            activations do not fit its memory, and that are augmented at once; None for all. Costs
            a second forward pass, and wants an encoder without batch normalisation; see
            `steps.gradient_cache`.
        deterministic: Whether a resumed run ends with the same bits on a GPU too, as on a CPU, with
            slower kernels. Max pooling of volumes has none such: it is an error.
        compile: Whether the encoder in training is compiled by `torch.compile`; equal to rounding.
    """

    store: str
    cache: str | None = None
    method: str | Method = "supremix"
    encoder: EncoderSpec = field(default_factory=EncoderSpec)
    epochs: int = 60
    seed: int = 0
    split_seed: int = 0
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    keep_copies_together: bool = False
    fold: Fold | None = None
    train_splits: tuple[str, ...] = ("train",)
    eval_split: str | None = "val"
    precision: str = "auto"
    threads: int | None = None
    eval_batch: int = 64
    label_fraction: float = 1.0
    augment: bool = True
    evaluate_every: int | None = None
    probe_samples: int = 4096
    fusion: str = "concat"
    target_transform: str | None = None
    averaging: float = 0.1
    pretrained: str | None = None
    flips: bool = False
    chunk: int | None = None
    deterministic: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("fusion", self.fusion, FUSIONS)
        if self.target_transform is not None:
            _one_of("target_transform", self.target_transform, _TRANSFORMS)
        for name in ("epochs", "eval_batch", "evaluate_every", "probe_samples", "threads", "chunk"):
            value: int | None = getattr(self, name)
            if value is not None and value < 1:
                raise TaskError(f"{name} must be at least 1, found {value}")
        if not 0 < self.label_fraction <= 1:
            raise TaskError(f"label_fraction must lie in (0, 1], found {self.label_fraction}")
        if not 0 <= self.averaging < 1:
            raise TaskError(f"averaging must lie in [0, 1), found {self.averaging}")
        if not self.train_splits:
            raise TaskError('train_splits must name at least one split, such as ("train",)')
        if self.eval_split in self.train_splits:
            raise TaskError(
                f"eval_split={self.eval_split!r} is also in train_splits; its error would be that "
                "of samples that were fitted. Take another split, or eval_split=None"
            )
        if len(self.fractions) != 3 or not math.isclose(sum(self.fractions), 1):
            raise TaskError(
                f"fractions must be three shares adding up to 1, found {self.fractions}"
            )

    @property
    def images_at_once(self) -> int:
        """Images that a forward pass of the evaluation takes: of a chunk, both views of each."""
        return self.eval_batch if self.chunk is None else min(self.eval_batch, 2 * self.chunk)


def _one_of(name: str, value: str, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise TaskError(f"{name} must be one of {', '.join(legal)}, found {value!r}")

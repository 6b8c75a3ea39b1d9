"""Legal values of the options that name something, each list stated here once.

The modules that implement the values key their tables by these names. Nothing is imported here, so
that ``supremix search --help`` can list them without waiting for torch.
"""

from __future__ import annotations

ENCODER_FAMILIES = ("resnet", "densenet", "efficientnet")
ENCODERS = (
    *ENCODER_FAMILIES,
    "resnet10",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnet200",
    "densenet121",
    "densenet169",
    "densenet201",
    "efficientnet-b0",
    "efficientnet-b1",
    "efficientnet-b2",
    "efficientnet-b3",
    "efficientnet-b4",
    "efficientnet-b5",
    "efficientnet-b6",
    "efficientnet-b7",
)
"""Encoders by name: families, small by default, and networks whose depth is in their name."""

SHORTCUTS = ("A", "B")
NORMS = ("batch", "group", "instance")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
PER_DATASET = "per-dataset"
JOINT_OBJECTIVE = "joint"
OBJECTIVES = (PER_DATASET, JOINT_OBJECTIVE)

SAMPLERS = ("tpe", "gp", "random")
"""Samplers by name, those of `supremix.tuning.study.sampler`."""

PRUNERS = ("halving", "median", "none")
"""Stopping rules by name, those of `supremix.tuning.pruners.registry`."""

SCHEDULES = ("warmup-stable-decay", "constant", "inverse-sqrt", "schedule-free", "one-cycle")
"""Schedules of the learning rate by name, those of `supremix.training.steps.schedule`."""

EFFORTS = ("quick", "standard", "thorough")
"""Efforts by name, those of `supremix.search.request.effort`."""

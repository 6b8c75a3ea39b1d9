"""Legal values of the options that name something, each list stated here once.

The modules that implement the values key their tables by these names. Nothing is imported here, so
that ``supremix search --help`` can list them without waiting for torch.
"""

from __future__ import annotations

ENCODERS = ("resnet", "densenet", "efficientnet")
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

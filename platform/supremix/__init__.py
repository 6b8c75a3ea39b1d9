"""supremix: hyperparameter search for medical-image regression with SupReMix, on Ray.

::

    import supremix

    search = supremix.Search(dataset="hc18", source="path/to/hc18", method="supremix", trials=32)
    result = search.run()
    result.best.config
    model = result.best.load()
    model.predict("image.png", pixel_size=0.14)

The names below are loaded when they are first used: a worker that needs a loss, or a user who
wants one, does not wait for Ray.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supremix.benchmark.benchmark import Benchmark as Benchmark
    from supremix.benchmark.comparison import Comparison as Comparison
    from supremix.benchmark.comparison import ComparisonResult as ComparisonResult
    from supremix.benchmark.multi_dataset import MultiDatasetResult as MultiDatasetResult
    from supremix.benchmark.multi_dataset import MultiDatasetSearch as MultiDatasetSearch
    from supremix.benchmark.result import BenchmarkResult as BenchmarkResult
    from supremix.data import check as check
    from supremix.data import datasets as datasets
    from supremix.data import phantom as phantom
    from supremix.data import prepare as prepare
    from supremix.joint_training.joint import JointResult as JointResult
    from supremix.joint_training.joint import joint as joint
    from supremix.models import EncoderSpec as EncoderSpec
    from supremix.monitoring.inspect import status as status
    from supremix.monitoring.status import Status as Status
    from supremix.planning.plan import Plan as Plan
    from supremix.planning.plan import plan as plan
    from supremix.progress.progress import Progress as Progress
    from supremix.reports import compare as compare
    from supremix.reports import report as report
    from supremix.reports import results as results
    from supremix.runs.result import Best as Best
    from supremix.runs.result import Result as Result
    from supremix.search.search import Search as Search
    from supremix.training import TrainedModel as TrainedModel
    from supremix.training.artifacts.trained_model import load as load

_HOMES = {
    "Benchmark": "supremix.benchmark.benchmark",
    "BenchmarkResult": "supremix.benchmark.result",
    "Best": "supremix.runs.result",
    "Comparison": "supremix.benchmark.comparison",
    "ComparisonResult": "supremix.benchmark.comparison",
    "EncoderSpec": "supremix.models",
    "JointResult": "supremix.joint_training.joint",
    "MultiDatasetResult": "supremix.benchmark.multi_dataset",
    "MultiDatasetSearch": "supremix.benchmark.multi_dataset",
    "Plan": "supremix.planning.plan",
    "Progress": "supremix.progress.progress",
    "Result": "supremix.runs.result",
    "Search": "supremix.search.search",
    "Status": "supremix.monitoring.status",
    "TrainedModel": "supremix.training",
    "check": "supremix.data",
    "compare": "supremix.reports",
    "datasets": "supremix.data",
    "joint": "supremix.joint_training.joint",
    "load": "supremix.training.artifacts.trained_model",
    "phantom": "supremix.data",
    "plan": "supremix.planning.plan",
    "prepare": "supremix.data",
    "report": "supremix.reports",
    "results": "supremix.reports",
    "status": "supremix.monitoring.inspect",
}

__all__ = [
    "Benchmark",
    "BenchmarkResult",
    "Best",
    "Comparison",
    "ComparisonResult",
    "EncoderSpec",
    "JointResult",
    "MultiDatasetResult",
    "MultiDatasetSearch",
    "Plan",
    "Progress",
    "Result",
    "Search",
    "Status",
    "TrainedModel",
    "check",
    "compare",
    "datasets",
    "joint",
    "load",
    "phantom",
    "plan",
    "prepare",
    "report",
    "results",
    "status",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'supremix' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

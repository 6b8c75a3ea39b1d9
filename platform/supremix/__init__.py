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
    from supremix.api import Search as Search
    from supremix.api import datasets as datasets
    from supremix.api import load as load
    from supremix.api import prepare as prepare
    from supremix.benchmark import Benchmark as Benchmark
    from supremix.benchmark_result import BenchmarkResult as BenchmarkResult
    from supremix.comparison import Comparison as Comparison
    from supremix.comparison import ComparisonResult as ComparisonResult
    from supremix.folders import check as check
    from supremix.folders import phantom as phantom
    from supremix.inspection import status as status
    from supremix.joint_training import JointResult as JointResult
    from supremix.joint_training import joint as joint
    from supremix.many import MultiResult as MultiResult
    from supremix.many import MultiSearch as MultiSearch
    from supremix.models import EncoderSpec as EncoderSpec
    from supremix.planning import Plan as Plan
    from supremix.planning import plan as plan
    from supremix.progress import Progress as Progress
    from supremix.querying import results as results
    from supremix.reporting import compare as compare
    from supremix.reporting import report as report
    from supremix.result import Best as Best
    from supremix.result import Result as Result
    from supremix.standing import Status as Status
    from supremix.training import TrainedModel as TrainedModel

_HOMES = {
    "Benchmark": "supremix.benchmark",
    "BenchmarkResult": "supremix.benchmark_result",
    "Best": "supremix.result",
    "Comparison": "supremix.comparison",
    "ComparisonResult": "supremix.comparison",
    "EncoderSpec": "supremix.models",
    "JointResult": "supremix.joint_training",
    "MultiResult": "supremix.many",
    "MultiSearch": "supremix.many",
    "Plan": "supremix.planning",
    "Progress": "supremix.progress",
    "Result": "supremix.result",
    "Search": "supremix.api",
    "Status": "supremix.standing",
    "TrainedModel": "supremix.training",
    "check": "supremix.folders",
    "compare": "supremix.reporting",
    "datasets": "supremix.api",
    "joint": "supremix.joint_training",
    "load": "supremix.api",
    "phantom": "supremix.folders",
    "plan": "supremix.planning",
    "prepare": "supremix.api",
    "report": "supremix.reporting",
    "results": "supremix.querying",
    "status": "supremix.inspection",
}

__all__ = [
    "Benchmark",
    "BenchmarkResult",
    "Best",
    "Comparison",
    "ComparisonResult",
    "EncoderSpec",
    "JointResult",
    "MultiResult",
    "MultiSearch",
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

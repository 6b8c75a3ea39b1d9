"""Names of the files of a run folder, as written by the platform and read by the reports."""

from __future__ import annotations

from typing import Final

SPEC: Final = "spec.json"
BENCHMARK: Final = "benchmark.json"
COMPARISON: Final = "comparison.json"
MULTI_DATASET: Final = "multi_dataset.json"
FOLDS: Final = "folds.json"
SPACE: Final = "space.json"
ENVIRONMENT: Final = "environment.json"
MODEL: Final = "best/model.json"
EMBEDDING: Final = "embedding.png"
EXPLANATIONS: Final = "explanations"

"""Ray Tune's MLflow callback, for trials that a resumed search continues."""

from __future__ import annotations

from typing import Any

from mlflow import MlflowClient
from ray.air.integrations.mlflow import MLflowLoggerCallback

from supremix.cluster.ray_private import continue_mlflow_run, mlflow_experiment

NAME_TAG = "trial_name"
"""Tag in which Tune's callback records a trial's name."""


class MLflowLogger(MLflowLoggerCallback):
    """Tune's callback, but a trial of an earlier session continues the run that it has."""

    def log_trial_start(self, trial: Any) -> None:
        """Begin a trial's run, or find the one that an earlier session began."""
        if trial.epoch:
            client = MlflowClient(tracking_uri=self.tracking_uri)
            query = f"tags.{NAME_TAG} = '{trial}'"
            found = client.search_runs([mlflow_experiment(self)], query, max_results=1)
            if found:
                continue_mlflow_run(self, trial, found[0].info.run_id)
        super().log_trial_start(trial)

"""Ray Tune's MLflow callback, for trials that a resumed search goes on with."""

from __future__ import annotations

from typing import Any

from mlflow import MlflowClient
from ray.air.integrations.mlflow import MLflowLoggerCallback

NAME_TAG = "trial_name"
"""Tag by which Tune's callback has a trial's name."""


class MLflowLogger(MLflowLoggerCallback):
    """As Tune's, but a trial of an earlier session goes on with the records that it has."""

    def log_trial_start(self, trial: Any) -> None:
        """Begin a trial's records, or find those that an earlier session began."""
        if trial.epoch:
            client = MlflowClient(tracking_uri=self.tracking_uri)
            query = f"tags.{NAME_TAG} = '{trial}'"
            experiment = str(self.mlflow_util.experiment_id)
            found = client.search_runs([experiment], query, max_results=1)
            if found:
                self._trial_runs[trial] = found[0].info.run_id
        super().log_trial_start(trial)

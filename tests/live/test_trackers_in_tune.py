"""Ray Tune itself calls the trackers, with actors that are used again as in a search."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune import Trainable

from supremix.cluster import ray_runtime
from supremix.cluster.tune.trackers import make_trackers

pytestmark = [pytest.mark.slow, pytest.mark.long]

pytest.importorskip("tensorboardX")
pytest.importorskip("mlflow")


class Training(Trainable):
    """Three epochs whose error is the trial's number and the epoch; trial 2 fails at once."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._number, self._epoch = json.loads(new_config["trial"])["number"], 0
        return True

    def step(self) -> dict[str, Any]:
        if self._number == 2:
            return {"row": "null", "failure": "no memory", "total": 0, "done": True}
        self._epoch += 1
        row = {"epoch": self._epoch, "error": self._number + self._epoch / 10}
        return {"row": json.dumps(row), "failure": None, "total": 3, "done": self._epoch == 3}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        pass


def described(number: int) -> dict[str, Any]:
    config = {"lr": 0.1 * (number + 1), "batch_size": None}
    trial = {"study": 0, "number": number, "epoch": 0, "seed": 1, "config": config}
    return {"trial": json.dumps(trial)}


def test_the_calls_of_tune_arrive(tmp_path: Path, no_local_ray: None) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # within MLflow
        trackers = make_trackers(
            tensorboard=str(tmp_path / "tb"), mlflow=uri, run="hc18-l1", warn=pytest.fail
        )
        with ray_runtime(None):
            configs = [described(number) for number in range(3)]
            tune.Tuner(
                tune.with_resources(Training, {"CPU": 0.01}),
                param_space=tune.grid_search(configs),
                tune_config=tune.TuneConfig(max_concurrent_trials=2, reuse_actors=True),
                run_config=tune.RunConfig(
                    name="tune", storage_path=str(tmp_path), callbacks=[*trackers], verbose=0
                ),
            ).fit()
        assert not ray.is_initialized()
        found = mlflow_runs(uri)
    assert found == {
        "00000": ("FINISHED", 0.3, "0.1"),
        "00001": ("FINISHED", 1.3, "0.2"),
        "00002": ("FAILED", None, "0.30000000000000004"),
    }
    assert sorted(path.name for path in (tmp_path / "tb" / "hc18-l1").iterdir()) == [
        "00000",
        "00001",
        "00002",
    ]


def mlflow_runs(uri: str) -> dict[str, tuple[str, float | None, str]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("hc18-l1")
    assert experiment is not None
    return {
        run.info.run_name: (run.info.status, run.data.metrics.get("error"), run.data.params["lr"])
        for run in client.search_runs([experiment.experiment_id])
    }

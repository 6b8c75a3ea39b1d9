"""The adapter to Ray: worker groups of Ray Train workers, their pool, and parallel maps."""

from supremix.cluster.executor import Executor as Executor
from supremix.cluster.messages import PredictionRequest as PredictionRequest
from supremix.cluster.messages import Row as Row
from supremix.cluster.messages import WorkerRequest as WorkerRequest
from supremix.cluster.messages import WorkerResult as WorkerResult
from supremix.cluster.parallel import ray_map as ray_map
from supremix.cluster.pool.pool import WorkerGroupPool as WorkerGroupPool
from supremix.cluster.resources import TRIAL_CPU as TRIAL_CPU
from supremix.cluster.resources import WorkerGroupPlan as WorkerGroupPlan
from supremix.cluster.resources import plan_worker_groups as plan_worker_groups
from supremix.cluster.runtime import cluster_nodes as cluster_nodes
from supremix.cluster.runtime import ray_runtime as ray_runtime

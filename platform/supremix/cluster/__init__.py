"""The adapter to Ray: gangs of Ray Train workers, their pool, and parallel maps."""

from supremix.cluster.executor import Crew as Crew
from supremix.cluster.messages import Order as Order
from supremix.cluster.messages import Outcome as Outcome
from supremix.cluster.messages import Row as Row
from supremix.cluster.parallel import ray_map as ray_map
from supremix.cluster.pool.pool import GangPool as GangPool
from supremix.cluster.resources import TRIAL_CPU as TRIAL_CPU
from supremix.cluster.resources import GangPlan as GangPlan
from supremix.cluster.resources import plan_gangs as plan_gangs
from supremix.cluster.runtime import cluster_nodes as cluster_nodes
from supremix.cluster.runtime import ray_runtime as ray_runtime

__all__ = [
    "TRIAL_CPU",
    "Crew",
    "GangPlan",
    "GangPool",
    "Order",
    "Outcome",
    "Row",
    "cluster_nodes",
    "plan_gangs",
    "ray_map",
    "ray_runtime",
]

"""The adapter to Ray: gangs of Ray Train workers, their pool, and parallel maps."""

from supremix.cluster.crew import Crew as Crew
from supremix.cluster.order import Order as Order
from supremix.cluster.order import Outcome as Outcome
from supremix.cluster.order import Row as Row
from supremix.cluster.parallel import ray_map as ray_map
from supremix.cluster.plan import TRIAL_CPU as TRIAL_CPU
from supremix.cluster.plan import GangPlan as GangPlan
from supremix.cluster.plan import plan_gangs as plan_gangs
from supremix.cluster.pool import GangPool as GangPool
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

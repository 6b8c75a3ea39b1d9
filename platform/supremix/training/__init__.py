"""Training: one trial on one task, without Ray, in one process or many."""

from supremix.training.checkpoint import load_checkpoint as load_checkpoint
from supremix.training.checkpoint import save_checkpoint as save_checkpoint
from supremix.training.collective import Collective as Collective
from supremix.training.collective import Distributed as Distributed
from supremix.training.collective import Solo as Solo
from supremix.training.errors import BatchTooLargeError as BatchTooLargeError
from supremix.training.errors import CheckpointError as CheckpointError
from supremix.training.errors import ConfigError as ConfigError
from supremix.training.errors import ModelInputError as ModelInputError
from supremix.training.errors import NonFiniteLossError as NonFiniteLossError
from supremix.training.errors import TaskError as TaskError
from supremix.training.errors import UnknownMethodError as UnknownMethodError
from supremix.training.fit import fit as fit
from supremix.training.methods import Method as Method
from supremix.training.methods import Stage as Stage
from supremix.training.methods import get_method as get_method
from supremix.training.methods import make_config as make_config
from supremix.training.methods import method_names as method_names
from supremix.training.model import TrainedModel as TrainedModel
from supremix.training.preflight import preflight as preflight
from supremix.training.run import TrialRun as TrialRun
from supremix.training.task import Task as Task

"""What can be searched: typed spaces, the presets of each method, a user's own space.

space = space_for("supremix", window=20.0, label_bin=2.0, train_size=486)
space = space.merged(parse_overrides(["temperature=0.05..0.5:log", "head=finetune"]))
space.defaults()        # the first point of a search
space.suggest(trial)    # a point drawn by an Optuna trial
"""

from supremix_spaces.errors import NotInSpaceError as NotInSpaceError
from supremix_spaces.errors import SpaceError as SpaceError
from supremix_spaces.errors import UnknownParameterError as UnknownParameterError
from supremix_spaces.errors import UnknownSpaceError as UnknownSpaceError
from supremix_spaces.parameters.notation import parse_override as parse_override
from supremix_spaces.parameters.notation import parse_overrides as parse_overrides
from supremix_spaces.parameters.parameters import Choice as Choice
from supremix_spaces.parameters.parameters import Fixed as Fixed
from supremix_spaces.parameters.parameters import Float as Float
from supremix_spaces.parameters.parameters import Int as Int
from supremix_spaces.parameters.parameters import Parameter as Parameter
from supremix_spaces.parameters.parameters import Trial as Trial
from supremix_spaces.parameters.serialization import load_parameters as load_parameters
from supremix_spaces.parameters.values import AUTO as AUTO
from supremix_spaces.parameters.values import Auto as Auto
from supremix_spaces.parameters.values import Condition as Condition
from supremix_spaces.parameters.values import Value as Value
from supremix_spaces.presets.dataset_facts import TRANSFER as TRANSFER
from supremix_spaces.presets.presets import own_space as own_space
from supremix_spaces.presets.presets import space_for as space_for
from supremix_spaces.presets.presets import space_names as space_names
from supremix_spaces.space import Space as Space
from supremix_spaces.space import load_space as load_space

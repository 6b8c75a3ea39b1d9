"""The spaces of contrastive losses that are terms of an end-to-end training.

The same weight and the same training for all of them, and of each loss what its two-stage method
searches.
"""

from __future__ import annotations

from supremix_spaces.parameters.parameters import Choice, Fixed, Float
from supremix_spaces.presets.contrastive import LOSSES
from supremix_spaces.presets.dataset_facts import Parameters, Preset, batch_size, preset
from supremix_spaces.presets.end_to_end import ON_FEATURES, TRAINING

_TERM: Parameters = {
    "weight": Float(0.03, 100.0, log=True, default=1.0),
    "projection": Choice((False, True)),
    "projection_dim": Fixed(128),
    "two_views": Fixed(True),
    **ON_FEATURES,
}
_LARGER: Parameters = {
    **TRAINING,
    "batch_size": lambda facts: batch_size(facts.train_size, default=32, steps=8),
}

# Without labels a contrast has nothing to say about a regression: SimCLR is left out.
CONTRAST_TERMS: dict[str, Preset] = {
    f"{name}-term": preset(_TERM, own, _LARGER) for name, own in LOSSES.items() if name != "simclr"
}

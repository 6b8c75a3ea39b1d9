"""Contrastive losses for continuous labels, in plain torch.

Every loss takes embeddings ``(M, D)`` and labels ``(M,)`` and returns a scalar. With ``anchors``
only a slice of the rows are anchors, and the values (and gradients) of slices that cover the
batch add up to those of the whole batch: this is what makes W processes equal to one.
"""

from supremix.losses.beta import draw_beta
from supremix.losses.errors import LossInputError
from supremix.losses.supcon import supcon_loss
from supremix.losses.supremix import SupReMixLoss, supremix_loss

__all__ = [
    "LossInputError",
    "SupReMixLoss",
    "draw_beta",
    "supcon_loss",
    "supremix_loss",
]

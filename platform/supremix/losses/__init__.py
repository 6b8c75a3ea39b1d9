"""Losses for continuous labels, in plain torch.

The contrastive losses take embeddings ``(M, D)`` and labels ``(M,)`` and return a scalar. With
``anchors`` only a slice of the rows are anchors, and the values (and gradients) of slices that
cover the batch add up to those of the whole batch: this is what makes W processes equal to one.
The same holds for the regularisers on features and for balanced MSE. The other regression losses
give one value a sample. Every loss with settings comes as a function, and as a class that checks
its settings when it is made.
"""

from supremix.losses.adacon import AdaConLoss, adacon_loss
from supremix.losses.balanced import BalancedMSELoss, balanced_mse
from supremix.losses.common.beta import draw_beta
from supremix.losses.common.errors import LossInputError
from supremix.losses.conr import ConRLoss, conr_loss
from supremix.losses.density import lds_weights, smoothing_window
from supremix.losses.expw import ExpLoss, expw_loss
from supremix.losses.feature_smoothing import FeatureSmoothing
from supremix.losses.mixup import c_mixup_partners, draw_mixing, mix, mixup_partners
from supremix.losses.ordinal_entropy import OrdinalEntropyLoss, ordinal_entropy_loss
from supremix.losses.ranksim import RankSimLoss, ranksim_loss
from supremix.losses.regression import HuberLoss, huber, l1, mse
from supremix.losses.rnc import RnCLoss, rnc_loss
from supremix.losses.simclr import SimCLRLoss, simclr_loss
from supremix.losses.soft_labels import SoftLabels, soft_label_loss
from supremix.losses.supcon import SupConLoss, supcon_loss
from supremix.losses.supremix.loss import SupReMixLoss, supremix_loss
from supremix.losses.yaware import YAwareLoss, yaware_loss

__all__ = [
    "AdaConLoss",
    "BalancedMSELoss",
    "ConRLoss",
    "ExpLoss",
    "FeatureSmoothing",
    "HuberLoss",
    "LossInputError",
    "OrdinalEntropyLoss",
    "RankSimLoss",
    "RnCLoss",
    "SimCLRLoss",
    "SoftLabels",
    "SupConLoss",
    "SupReMixLoss",
    "YAwareLoss",
    "adacon_loss",
    "balanced_mse",
    "c_mixup_partners",
    "conr_loss",
    "draw_beta",
    "draw_mixing",
    "expw_loss",
    "huber",
    "l1",
    "lds_weights",
    "mix",
    "mixup_partners",
    "mse",
    "ordinal_entropy_loss",
    "ranksim_loss",
    "rnc_loss",
    "simclr_loss",
    "smoothing_window",
    "soft_label_loss",
    "supcon_loss",
    "supremix_loss",
    "yaware_loss",
]

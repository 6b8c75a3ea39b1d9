"""Losses for continuous labels, in plain torch.

A loss is a class that checks its hyperparameters when it is made, and is called with a batch. The
contrastive losses take embeddings ``(M, D)`` and labels ``(M,)`` and return a scalar. With
``anchors`` only a slice of the rows are anchors, and the values (and gradients) of slices that
cover the batch add up to those of the whole batch: this is what makes W processes equal to one.
The same holds for the regularisers on features and for balanced MSE. The other regression losses
give one value a sample.
"""

from supremix.losses.adacon import AdaConLoss
from supremix.losses.balanced import BalancedMSELoss
from supremix.losses.common.beta import draw_beta
from supremix.losses.common.errors import LossInputError
from supremix.losses.common.transfer import packed, to_device
from supremix.losses.conr import ConRLoss
from supremix.losses.density import DensityWeights, smoothing_window
from supremix.losses.expw import ExpLoss
from supremix.losses.feature_smoothing import FeatureSmoothing
from supremix.losses.mixup import c_mixup_partners, draw_mixing, mix, mixup_partners
from supremix.losses.ordinal_entropy import OrdinalEntropyLoss
from supremix.losses.ranksim import RankSimLoss
from supremix.losses.regression import HuberLoss, l1, mse
from supremix.losses.rnc import RnCLoss
from supremix.losses.simclr import SimCLRLoss
from supremix.losses.soft_labels import SoftLabels
from supremix.losses.supcon import SupConLoss
from supremix.losses.supremix.loss import SupReMixLoss, supremix_loss
from supremix.losses.yaware import YAwareLoss

__all__ = [
    "AdaConLoss",
    "BalancedMSELoss",
    "ConRLoss",
    "DensityWeights",
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
    "c_mixup_partners",
    "draw_beta",
    "draw_mixing",
    "l1",
    "mix",
    "mixup_partners",
    "mse",
    "packed",
    "smoothing_window",
    "supremix_loss",
    "to_device",
]

"""L1: the same encoder trained end to end on the mean absolute error, the usual way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from supremix.methods.base import Stage, absolute_error
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class L1Config:
    """Parameters of `L1`.

    Args:
        batch_size: images of a step. lr: peak rate of AdamW. weight_decay: of the matrices.
    """

    batch_size: int = 16
    lr: float = 4e-3
    weight_decay: float = 0.05


@dataclass(frozen=True, slots=True)
class L1:
    """One stage, end to end."""

    name: str = "l1"
    config: type[Any] = L1Config

    def stages(self, config: L1Config, *, epochs: int, card: Card) -> tuple[Stage, ...]:
        """The one stage."""
        return (
            Stage(
                name="regress",
                objective="regression",
                epochs=epochs,
                batch_size=config.batch_size,
                loss=absolute_error,
                lr=config.lr,
                weight_decay=config.weight_decay,
            ),
        )

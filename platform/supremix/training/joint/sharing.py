"""Sharing of weights among the networks of several tasks.

Weights are shared one by one, as the same tensor in several networks: those of the encoder where
the number of spatial axes, name and shape agree. So tasks of as many axes have everything in common
but the layers that see their channels, the stem, and tasks of as many channels have that as well. A
convolution over two axes and one over three have nothing that could be shared.

The projection head is shared by all tasks whose joined features are as wide, with any number of
axes. The layers of covariates and the regression head belong to one dataset and stay its own. So do
the running statistics of every normalisation: a batch is of one task, and its evaluation has to
normalise as the training did (domain-specific statistics, after Chang et al. 2019,
arXiv 1906.03950).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from torch.nn import Parameter

from supremix.models import Network

_Key = tuple[object, ...]


def share_parameters(networks: Sequence[Network], axes: Sequence[int]) -> list[dict[str, int]]:
    """Let networks have every parameter in common that they can; the first one's values stay.

    Args:
        networks: Networks of one encoder specification; changed in place.
        axes: Number of spatial axes of the images of each, 2 or 3.

    Returns:
        For each network the names of its shared parameters, with the number of networks, two or
        more, that hold each.
    """
    owners: dict[_Key, Parameter] = {}
    found: list[dict[str, _Key]] = []
    for network, dimensions in zip(networks, axes, strict=True):
        keys = _keys(network, dimensions)
        for name, key in keys.items():
            _put(network, name, owners.setdefault(key, network.get_parameter(name)))
        found.append(keys)
    holders = Counter(key for keys in found for key in keys.values())
    return [{n: holders[k] for n, k in keys.items() if holders[k] > 1} for keys in found]


def _keys(network: Network, axes: int) -> dict[str, _Key]:
    """By name of each parameter that may be shared, the key that another's has to equal."""
    keys: dict[str, _Key] = {}
    # Weights that an encoder uses twice have two names, and both have to lead to the shared one.
    for name, parameter in network.named_parameters(remove_duplicate=False):
        shape = tuple(parameter.shape)
        if name.startswith("encoder."):
            keys[name] = (axes, name, shape)
        elif name.startswith("projection."):
            # A norm over the embedding fits any projection, but belongs to the one before it.
            keys[name] = (network.width, name, shape)
    return keys


def _put(network: Network, name: str, parameter: Parameter) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(owner), leaf, parameter)

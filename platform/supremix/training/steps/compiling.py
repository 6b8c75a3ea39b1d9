"""The encoder in training compiled by `torch.compile`, which fuses its kernels."""

from __future__ import annotations

import os
import shutil

import torch
from torch import Tensor

from supremix._errors import ConfigError, TaskError
from supremix.models import EncoderSpec, Network

BACKEND = "inductor"

_COMPILERS = ("g++", "c++", "clang++")


def check_compile(encoder: EncoderSpec, workers: int) -> None:
    """Raise ConfigError where there is nothing in an encoder that could be compiled as one.

    Args:
        encoder: The encoder.
        workers: Number of workers that train together.
    """
    if workers > 1 and encoder.builder is None and encoder.norm == "batch":
        raise ConfigError(
            f"compile has nothing to fuse where {workers} workers normalise their batches as one: "
            "they exchange messages in every layer. Build the encoder with norm='group' (--norm "
            "group), train with one worker, or leave compile out."
        )


def compile_encoder(network: Network) -> None:
    """Have the network's encoder compiled at its first forward pass in training.

    Its parameters keep their names. Batches of a stage have one of two sizes, and each has kernels
    of its own. What was compiled for earlier networks of this process is forgotten.

    Args:
        network: The network in training.

    Raises:
        TaskError: There is no C++ compiler.
    """
    wanted = (os.environ.get("CXX"), *_COMPILERS)
    if not any(shutil.which(name) for name in wanted if name):
        raise TaskError(
            "compile=True (--compile) needs a C++ compiler on each node that trains, found none of "
            f"{', '.join(_COMPILERS)}; install one there, or leave compile out"
        )
    # torch keeps a few versions of a function, and computes without them once there are more.
    torch.compiler.reset()
    encoder = network.encoder

    # A function of ours: of torch's own modules torch.compile passes over the outermost.
    def encode(images: Tensor) -> Tensor:
        return encoder(images)

    network.encode = torch.compile(encode, backend=BACKEND, dynamic=False)

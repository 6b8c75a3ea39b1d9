"""A CUDA device that is none: tensors on "cuda:0" that compute on the CPU and are counted.

Every operation below autograd passes through here. So a process that has called `pretend` refuses
what mixes the two devices as CUDA does, and counts in `COUNTS` the kernels that would be launched
and the waits of the host for the device: values read, shapes that depend on values, and copies
that are not from pinned memory or not asked not to block. For a process of its own: torch's
functions are replaced.
"""

from __future__ import annotations

import collections
import shutil
import subprocess
import traceback
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import clip_grad
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("cuda", 0)


class Counts:
    """What was done on the device since `reset`."""

    def __init__(self) -> None:
        self.launches: collections.Counter[str] = collections.Counter()
        self.waits: collections.Counter[str] = collections.Counter()
        self.copied = 0
        """Copies from the host."""
        self.moved = 0
        """Bytes of the device's memory that kernels read and write."""

    def reset(self) -> None:
        self.__init__()


COUNTS = Counts()

# Launch nothing.
_FREE = {
    "alias", "as_strided_", "detach", "empty", "empty_like", "empty_strided", "lift_fresh",
    "new_empty", "new_empty_strided", "set_", "_local_scalar_dense", "_reshape_alias",
    "_unsafe_view", "record_stream", "is_pinned",
}  # fmt: skip
# Launch more than one kernel, from the ATen sources; roughly.
_LAUNCHES = {
    "_foreach_norm": 2, "_linalg_det": 6, "_linalg_eigh": 30, "_unique2": 10, "bincount": 6,
    "convolution_backward": 2, "cumsum": 2, "cumsum_": 2, "index_add": 2, "index_put": 9,
    "index_put_": 8, "_index_put_impl_": 8, "isfinite": 3, "logcumsumexp": 2, "logsumexp": 5,
    "max_pool3d_with_indices_backward": 2, "median": 3, "nonzero": 4, "repeat_interleave": 2,
    "sort": 4,
}  # fmt: skip
# Make the host wait, so many times.
_WAITS = {
    "_linalg_eigh": 1, "_linalg_solve_ex": 1, "_local_scalar_dense": 1, "_unique2": 2,
    "bincount": 2, "equal": 1, "linalg_cholesky_ex": 1, "linalg_inv_ex": 1, "masked_select": 1,
    "nonzero": 1, "unique_dim": 2,
}  # fmt: skip


class OnDevice(torch.Tensor):
    """A tensor on the pretended device; `values` are its numbers, on the CPU."""

    values: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> OnDevice:
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            layout=values.layout,
            device=DEVICE,
        )
        tensor.values = values
        return tensor

    def __repr__(self) -> str:
        return f"OnDevice({tuple(self.shape)}, {self.dtype})"

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        with torch.no_grad():
            copied = self.detach().clone()
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, requires_grad=self.requires_grad)
        memo[id(self)] = copied
        return copied

    def tolist(self) -> Any:
        _wait("tolist")
        return self.values.tolist()

    def numpy(self, *rest: Any, **named: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def new_tensor(self, data: Any, *, dtype: torch.dtype | None = None) -> torch.Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype, device=DEVICE)

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        return _run(function, args, kwargs or {})


class _Everything(TorchDispatchMode):
    """Sees the operations that make tensors out of nothing as well."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        return _run(function, args, kwargs or {})


def compiler() -> str | None:
    """The C++ compiler that `pretend` needs, if there is one with torch's headers."""
    header = Path(torch.__path__[0], "include/c10/core/impl/DeviceGuardImplInterface.h")
    return shutil.which("g++") if header.exists() else None


def build(folder: Path) -> Path:
    """Build what `pretend` loads; the library's path."""
    root, library = Path(torch.__path__[0]), folder / "pretended_cuda.so"
    source = Path(__file__).with_suffix(".cpp")
    headers = [f"-I{root / part}" for part in ("include", "include/torch/csrc/api/include")]
    linked = [f"-L{root / 'lib'}", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{root / 'lib'}"]
    command = ["g++", "-std=c++20", "-shared", "-fPIC", *headers, str(source), "-o", str(library)]
    subprocess.run([*command, *linked], check=True)
    return library


def pretend(*, capability: tuple[int, int] = (9, 0)) -> TorchDispatchMode:
    """Make this process believe that there is a GPU; the mode in which it has to run.

    It has loaded the library of `build`, before torch, which asks only once for a GPU.
    """
    torch.autograd.set_multithreading_enabled(False)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    facts: dict[str, Any] = {
        "is_available": True, "is_initialized": True, "device_count": 1, "current_device": 0,
        "get_device_capability": capability, "is_bf16_supported": True, "_lazy_init": None,
        "empty_cache": None, "manual_seed": None, "manual_seed_all": None, "set_rng_state": None,
        "synchronize": None, "set_device": None,
        "get_rng_state": torch.zeros(16, dtype=torch.uint8),
        "mem_get_info": (64 << 30, 80 << 30), "get_per_process_memory_fraction": 1.0,
    }  # fmt: skip
    for name, value in facts.items():
        setattr(torch.cuda, name, lambda *rest, known=value, **named: known)
    # torch asks C++ for these.
    clip_grad._has_foreach_support = lambda tensors, device: True
    clip_grad._device_has_foreach_support = lambda device: True
    _replace_copies()
    return _Everything()


_pinned: list[torch.Tensor] = []


def _pin(tensor: torch.Tensor) -> torch.Tensor:
    # Kept, so that no other tensor gets its memory and is taken to be pinned.
    _pinned.append(tensor)
    return tensor


def _is_pinned(tensor: torch.Tensor) -> bool:
    start = tensor.untyped_storage().data_ptr()
    return any(start == one.untyped_storage().data_ptr() for one in _pinned)


def _replace_copies() -> None:
    """Pinned memory, and tensors made of Python's numbers, which are copied to the device."""
    torch.Tensor.pin_memory = lambda tensor, device=None: _pin(tensor.clone())
    torch.Tensor.is_pinned = lambda tensor, device=None: _is_pinned(tensor)

    def replace(name: str) -> None:
        known = getattr(torch, name)

        def make(data: Any, *, dtype: Any = None, device: Any = None, **more: Any) -> Any:
            there = device is not None and torch.device(device).type == "cuda"
            if not there or isinstance(data, torch.Tensor):
                return known(data, dtype=dtype, device=device, **more)
            _wait(f"torch.{name}")
            COUNTS.copied += 1
            return OnDevice(known(data, dtype=dtype))

        setattr(torch, name, make)

    replace("tensor")
    replace("as_tensor")


def _wait(what: str, times: int = 1) -> None:
    frames = traceback.extract_stack()
    ours = [f for f in frames if "supremix" in f.filename and "/tests/" not in f.filename]
    last = ours[-1] if ours else frames[0]
    COUNTS.waits[f"{what} at {Path(last.filename).name}:{last.lineno}"] += times


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation: checked, counted, and computed on the CPU."""
    name = function._schema.name.removeprefix("aten::")
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
    there = [x for x in tensors if isinstance(x, OnDevice)]
    host = [x for x in tensors if not isinstance(x, OnDevice)]
    wanted = kwargs.get("device")
    wanted = None if wanted is None else torch.device(wanted).type
    inside = tree_map(_inside, args)
    named = {k: _inside(v) if not isinstance(v, (list, tuple)) else tree_map(_inside, v)
             for k, v in kwargs.items()}  # fmt: skip
    if named.pop("pin_memory", False):
        return _pin(function(*inside, **named))
    if not there and wanted != "cuda":
        return function(*inside, **named)
    if wanted is not None:
        named["device"] = torch.device("cpu")
    if name == "_to_copy" and wanted is not None and (wanted == "cuda") != bool(there):
        _copy(args[0], kwargs.get("non_blocking", False))
        made = function(*inside, **{**named, "non_blocking": False})
        return OnDevice(made.clone()) if wanted == "cuda" else made.clone()
    if name == "copy_" and len(there) == 1:
        _copy(args[1], len(args) > 2 and args[2])
        inside[0].copy_(inside[1])
        return args[0]
    _check_devices(function, name, args, there, host)
    launched = _count(function, name, args)
    made = _compute(function, name, inside, named)
    if launched:
        written = [x for x in tree_flatten(made)[0] if isinstance(x, torch.Tensor)]
        COUNTS.moved += sum(x.nbytes for x in (*there, *written))
    wrapped = made if name == "_local_scalar_dense" else tree_map(_outside, made)
    if any(one.alias_info is not None for one in function._schema.arguments):
        return _aliased(function, args, kwargs, wrapped)
    return wrapped


def _inside(x: Any) -> Any:
    return x.values if isinstance(x, OnDevice) else x


def _outside(x: Any) -> Any:
    return OnDevice(x) if isinstance(x, torch.Tensor) and not isinstance(x, OnDevice) else x


def _copy(source: torch.Tensor, free: bool) -> None:
    """Count a copy between the devices."""
    if isinstance(source, OnDevice):
        _wait("copy to the host")
        return
    COUNTS.copied += 1
    if not (free and _is_pinned(source)):
        _wait("copy to the device")


def _check_devices(
    function: Any, name: str, args: Any, there: list[Any], host: list[torch.Tensor]
) -> None:
    mixed = [x for x in host if x.dim() > 0]
    if not (there and mixed):
        return
    if name in ("index", "index_put_", "index_put", "_index_put_impl_") and (
        isinstance(args[0], OnDevice) and not any(x is y for x in mixed for y in args[2:3])
    ):
        _wait("an index on the host", len(mixed))
        return
    raise RuntimeError(f"Expected all tensors to be on the same device, in {function}")


def _count(function: Any, name: str, args: Any) -> int:
    """Count an operation; how many kernels it launches."""
    returns = function._schema.returns
    view = any(r.alias_info is not None and not r.alias_info.is_write for r in returns)
    waits = _WAITS.get(name, 0)
    if name == "index" and any(_is_mask(i) for i in args[1]):
        waits = 1
    if name == "repeat_interleave":
        waits = 1
    if waits:
        _wait(name, waits)
    if view or name in _FREE:
        return 0
    launches = _LAUNCHES.get(name, 1)
    if name.startswith("_foreach"):
        launches *= len(args[0]) // 100 + 1
    COUNTS.launches[name] += launches
    return launches


def _is_mask(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)


def _compute(function: Any, name: str, inside: Any, named: dict[str, Any]) -> Any:
    if name == "convolution_backward" and inside[0].dtype in (torch.bfloat16, torch.float16):
        # The CPU's kernel for half types returns gradients that are none, for some shapes.
        kind = inside[0].dtype
        wide = [x.float() if isinstance(x, torch.Tensor) else x for x in inside]
        made = function(*wide, **named)
        return tuple(x.to(kind) if isinstance(x, torch.Tensor) else x for x in made)
    return function(*inside, **named)


def _aliased(function: Any, args: Any, kwargs: dict[str, Any], wrapped: Any) -> Any:
    returns = function._schema.returns
    if len(returns) == 1 and returns[0].alias_info is not None and returns[0].alias_info.is_write:
        out = kwargs.get("out")
        return args[0] if out is None else out
    try:
        return return_and_correct_aliasing(function, args, kwargs, wrapped)
    except RuntimeError:  # of a kind that it does not know
        return wrapped

"""The process-wide settings of a training: seeds, precision, compiler; chosen by the device."""

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import random

import keras
import numpy as np

XLA_FLAG = "--xla_gpu_deterministic_ops"
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextlib.contextmanager
def session(seed, policy, devices=None, deterministic=False):
    """Seed every random generator, set the dtype policy, choose devices; restore what can be restored.

    Args:
        seed: int.
        policy: str. A dtype policy such as "mixed_bfloat16".
        devices: a `recipes.training.devices.Devices`, or None for one. Defaults to None.
        deterministic: bool. Whether to compute by `deterministic_kernels` alone. Defaults to False.

    Example:

    >>> with session(0, "float32"):
    ...     keras.config.dtype_policy().name
    'float32'
    """
    before = keras.config.dtype_policy(), random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed % 2**32)
    keras.config.set_dtype_policy(policy)
    try:
        with (
            contextlib.nullcontext() if devices is None else devices.scope(),
            deterministic_kernels() if deterministic else contextlib.nullcontext(),
        ):
            yield
    finally:
        keras.config.set_dtype_policy(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])


@contextlib.contextmanager
def deterministic_kernels():
    """Compute by kernels alone that give the same bits each time, by the switches that the backend has for it.

    On CPUs the same seed gives the same bits without it, on the same machine with the same number of threads. On GPUs
    it makes sums wait for each other: steps take longer, of some networks several times as long; what has no such
    kernel is refused by TensorFlow and torch. TensorFlow and torch compute as before afterwards.

    JAX reads its switch, XLA_FLAGS, when it first looks at its devices; the command line sets it before.

    Raises:
        ValueError: on JAX, where a GPU is there and XLA_FLAGS does not have the switch.

    Example:

    >>> with deterministic_kernels():
    ...     float(keras.ops.sum(keras.ops.ones(3)))
    3.0
    """
    with {"tensorflow": _of_tensorflow, "torch": _of_torch, "jax": _of_jax}[keras.backend.backend()]():
        yield


@contextlib.contextmanager
def _of_tensorflow():
    import tensorflow as tf
    from tensorflow.python.framework import config  # what asks and what switches it off again is not public

    before = config.is_op_determinism_enabled()
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        if not before:
            config.disable_op_determinism()


@contextlib.contextmanager
def _of_torch():
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, workspace = torch.backends.cudnn.benchmark, os.environ.get(_WORKSPACE)
    os.environ.setdefault(_WORKSPACE, ":4096:8")  # cuBLAS reads it when it is first used
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark
        if workspace is None:
            os.environ.pop(_WORKSPACE, None)


@contextlib.contextmanager
def _of_jax():
    if on_accelerator() and XLA_FLAG not in os.environ.get("XLA_FLAGS", ""):
        raise ValueError(
            "JAX takes the switch for deterministic kernels before it begins: start Python with the environment "
            f"variable XLA_FLAGS={XLA_FLAG}=true."
        )
    yield


def side_by_side(operations):
    """Divide the cores of a CPU evenly among so many operations at a time.

    One, to which all cores are given, for a network of large operations: on two cores SpeedNet trained 6%
    faster so. Several for a network that is computed in parts, see `zoo.ghost_batches`. Only TensorFlow runs
    several at once. It takes the setting until it computes for the first time; after that, and on other
    backends, nothing happens.

    Args:
        operations: int.

    Example:

    >>> side_by_side(1)
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_inter_op_parallelism_threads(operations)
            if operations > 1:  # else all of them, as it is
                tf.config.threading.set_intra_op_parallelism_threads(max(1, os.cpu_count() // operations))


def choose_policy(precision):
    """The dtype policy for a precision on this device.

    Args:
        precision: "auto", or the name of a dtype policy. "auto" is bfloat16 where the hardware
            computes in it, else float16 on an accelerator, else float32.

    Returns:
        str. The name of a dtype policy.

    Example:

    >>> choose_policy("float32")
    'float32'
    """
    if precision != "auto":
        return precision
    if _has_bfloat16():
        return "mixed_bfloat16"
    return "mixed_float16" if on_accelerator() else "float32"


def choose_jit_compile(jit_compile, devices=None):
    """Whether to compile with XLA (torch: torch.compile).

    Args:
        jit_compile: True, False, or None to choose. On TensorFlow, XLA pays on an accelerator; on
            two CPU cores it made training 2.4 times slower. JAX always compiles. On torch the
            choice is not to.
        devices: a `recipes.training.devices.Devices`, or None for one. TensorFlow's XLA compiles for one.
            Defaults to None.

    Returns:
        bool.

    Example:

    >>> choose_jit_compile(False)
    False
    """
    if jit_compile is not None:
        return jit_compile
    if keras.backend.backend() == "tensorflow":
        return on_accelerator() and not (devices and devices.several)
    return keras.backend.backend() == "jax"


def on_several_devices():
    """Whether what is trained now is trained on several devices.

    Returns:
        bool.

    Example:

    >>> on_several_devices()
    False
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.distribute.get_strategy().num_replicas_in_sync > 1
    return keras.distribution.distribution() is not None


def on_accelerator():
    """Whether the backend computes on an accelerator.

    Returns:
        bool.

    Example:

    >>> on_accelerator() in (True, False)
    True
    """
    return _accelerator() is not None


def describe_device(devices=None):
    """What the backend computes on.

    Args:
        devices: a `recipes.training.devices.Devices`, or None for one. Defaults to None.

    Returns:
        str, such as "NVIDIA H100 (16 CPU cores)", "AMD EPYC (2 CPU cores)" or "4 x NVIDIA H100 (16 CPU cores)".

    Example:

    >>> describe_device().endswith("CPU cores)")
    True
    """
    several = f"{devices.count} x " if devices and devices.several else ""
    return f"{several}{_accelerator() or _processor()} ({os.cpu_count()} CPU cores)"


def describe_versions():
    """The versions of Python and of the packages that a training rests on.

    Returns:
        dict of name to str; "backend" is the name of the backend.

    Example:

    >>> describe_versions()["keras"] == keras.version()
    True
    """
    backend = keras.backend.backend()
    packages = ["keras", backend, "numpy", "keras-zoo"]
    versions = {"python": platform.python_version(), "backend": backend}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _accelerator():
    """Name of the accelerator, or None."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU") if devices else None
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return None if device.platform == "cpu" else device.device_kind
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return None


def _has_bfloat16():
    if not on_accelerator():
        return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(_cpu_flags()))
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.is_bf16_supported()
    if backend == "jax":
        import jax

        # TPUs have it; GPUs from compute capability 8.0 on.
        return float(getattr(jax.devices()[0], "compute_capability", 8.0)) >= 8.0
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return details.get("compute_capability", (0, 0)) >= (8, 0)


def _cpuinfo(key):
    """The first value of `key` in Linux's list of processors, or None."""
    path = pathlib.Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _cpu_flags():
    return (_cpuinfo("flags") or _cpuinfo("Features") or "").split()


def _processor():
    return _cpuinfo("model name") or platform.processor() or platform.machine()

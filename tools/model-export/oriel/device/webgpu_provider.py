"""Runs WebGPU without a browser, through ONNX Runtime's plugin in the package
onnxruntime-ep-webgpu."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import version

import onnxruntime

from oriel.errors import OptionError, reason_of

PACKAGE = "onnxruntime-ep-webgpu"
_REGISTERED = "oriel-webgpu"


@cache
def webgpu_device() -> onnxruntime.OrtEpDevice:
    """Return the WebGPU device to create sessions for.

    Raises OptionError if the package is missing or doesn't load, or if no graphics adapter is
    found.
    """
    try:
        plugin = import_module("onnxruntime_ep_webgpu")
    except ImportError as error:
        raise OptionError(
            "WebGPU needs a plugin of ONNX Runtime that isn't installed",
            got=f"no {PACKAGE}",
            next_step=f"pip install {PACKAGE}; on Linux it also needs libvulkan.so.1.",
        ) from error
    try:
        onnxruntime.register_execution_provider_library(_REGISTERED, plugin.get_library_path())
    except Exception as error:  # ONNX Runtime's errors have no public base class
        raise OptionError(
            f"the plugin of {PACKAGE} doesn't load",
            got=reason_of(error),
            next_step="install libvulkan.so.1 on Linux, or a release that fits onnxruntime.",
        ) from error
    name = plugin.get_ep_name()
    found = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    if not found:
        raise OptionError(
            "no graphics adapter answers to WebGPU",
            got="no device of " + name,
            expected="a graphics card with its driver, seen by ONNX Runtime",
            next_step="run it on a machine that has one, or with --provider cpu.",
        )
    return found[0]


def webgpu_version() -> str:
    """Return the plugin's version."""
    return version(PACKAGE)

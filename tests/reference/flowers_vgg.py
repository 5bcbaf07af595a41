#!/usr/bin/env python3
"""Writes autograd's logits and Grad-CAM maps for models/flowers-vgg.onnx, for tests/explain.rs.

    pip install -r tests/reference/requirements.txt
    python tests/reference/flowers_vgg.py

Loads the weights from the ONNX file into the PyTorch network of models/training. PyTorch does the rest.
Writes tests/reference/flowers_vgg/: logits.npy, layers.txt,
map_LAYER_CLASS.npy (Grad-CAM, large maps mean-pooled to 14x14), and for the first layer
hires-cam_CLASS.npy and layer-cam_CLASS.npy.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(__file__).with_suffix("")
sys.path.insert(0, str(ROOT / "models/training"))
import flowers_vgg as training  # noqa: E402

# The module whose output is the layer, and the name of that output in the ONNX file.
LAYERS = {
    "12.2": "/12/12.2/Relu_output_0",
    "13": "/13/BatchNormalization_output_0",
    "10.1": "/10/10.1/Conv_output_0",
    "9": "/9/MaxPool_output_0",
    "7": "/7/BatchNormalization_output_0",
    "5.2": "/5/5.2/Relu_output_0",
    "2.0": "/2/2.0/Conv_output_0",
    "0.0": "/0/0.0/Conv_output_0",
}
LARGEST = 14


def weights_of(path):
    model = onnx.load(path)
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        # The exporter stores equal weights only once.
        if node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    return {name: torch.from_numpy(value.copy()) for name, value in values.items()}


def picture():
    """A picture [1,3,224,224] by the formula of `reference_picture` in tests/explain.rs."""
    y, x = np.mgrid[0:224, 0:224]
    channels = [(x * 3 + y * 5 + c * 40 + x * y // 50) % 256 for c in range(3)]
    return torch.from_numpy(np.stack(channels)[None].astype(np.float32) / 255)


def main():
    weights = weights_of(ROOT / "models/flowers-vgg.onnx")
    net = training.flowers_vgg(5).eval()
    # The ONNX file omits only weights that inference does not use.
    missing, unexpected = net.load_state_dict(weights, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing), missing
    assert not unexpected, unexpected

    OUT.mkdir(exist_ok=True)
    kept = {}
    modules = dict(net.named_modules())
    for name in LAYERS:
        modules[name].register_forward_hook(lambda _, __, output, name=name: kept.__setitem__(name, output))
    logits = net(picture().requires_grad_())[0]
    np.save(OUT / "logits.npy", logits.detach().numpy())
    (OUT / "layers.txt").write_text("".join(f"{name}\n" for name in LAYERS.values()))
    for number, name in enumerate(LAYERS):
        for index in range(len(logits)):
            (gradient,) = torch.autograd.grad(logits[index], kept[name], retain_graph=True)
            weight = gradient.mean((2, 3), keepdim=True)
            map_ = (weight * kept[name]).sum(1).relu()
            if map_.shape[-1] > LARGEST:
                map_ = torch.nn.functional.avg_pool2d(map_, map_.shape[-1] // LARGEST)
            np.save(OUT / f"map_{number}_{index}.npy", map_[0].detach().numpy())
            if number == 0:
                hires = (gradient * kept[name]).sum(1).relu()
                layer = (gradient.relu() * kept[name]).sum(1).relu()
                np.save(OUT / f"hires-cam_{index}.npy", hires[0].detach().numpy())
                np.save(OUT / f"layer-cam_{index}.npy", layer[0].detach().numpy())
    print(f"{OUT}: {len(LAYERS)} layers, logits {logits.detach().numpy()}")


if __name__ == "__main__":
    main()

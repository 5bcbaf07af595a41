#!/usr/bin/env python3
"""Writes small seeded nets of many families and their autograd gradients, for tests/grad_models.rs.

    pip install -r tests/reference/requirements.txt
    python tests/reference/models.py [NAME ...]

Writes to tests/reference/models/:

- NAME.EXPORTER.onnx, by each of PyTorch's two exporters
- NAME.default.npy and NAME.early.npy for two layers, the one that whycam must choose and an early one: float32
  [2,C,h,w], the activations and the gradient of the predicted class's logit
- NAME.default.map.npy and NAME.early.map.npy [h,w]: pytorch-grad-cam's map
- models.json, one object per export: name, file, size, the tensor of the early layer, and the largest allowed
  error as a share of the largest value, if it is not 2e-3
- input.npy: the picture; every net takes its upper left corner
"""

import contextlib
import io
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from pytorch_grad_cam import GradCAM
from torch import nn
from torch.overrides import TorchFunctionMode

from families import families

OUT = Path(__file__).with_suffix("")
SIDE = 224


def randomise(net, seed):
    """Sets weights that let signals pass, and norm statistics that differ from 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    normal = lambda like: torch.randn(like.shape, generator=random)
    uniform = lambda like: torch.rand(like.shape, generator=random)
    for name, parameter in net.named_parameters():
        if "token" in name or "pos_embed" in name or "relative_position" in name:
            values = 0.3 * normal(parameter)
        elif parameter.ndim >= 2 and parameter.numel() > parameter.shape[0]:
            values = normal(parameter) * (1.8 / parameter[0].numel()) ** 0.5
        elif name.endswith("bias"):
            values = 0.2 * normal(parameter)
        else:
            values = 0.6 + 0.8 * uniform(parameter)
        parameter.data = values.to(parameter.dtype)
    for module in net.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.data = (0.2 * normal(module.running_mean)).to(module.running_mean.dtype)
            module.running_var.data = (0.6 + 0.8 * uniform(module.running_var)).to(module.running_var.dtype)


class LastCall(TorchFunctionMode):
    """Keeps the result of the last call of a torch function."""

    def __init__(self, function):
        super().__init__()
        self.function, self.output = function, None

    def __torch_function__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        if getattr(function, "__name__", "").strip("_") == self.function:
            self.output = output
        return output


def layer_output(net, layer, picture):
    """A layer's output and the logits. `last:NAME` is the last call of a function that is not a module."""
    if layer.startswith("last:"):
        with LastCall(layer[5:]) as last:
            logits = net(picture)
        return last.output, logits
    kept = []
    hook = dict(net.named_modules())[layer].register_forward_hook(lambda _, __, output: kept.append(output))
    logits = net(picture)
    hook.remove()
    return kept[-1], logits


def as_map(tensor, form):
    """A layer's output as [N,C,h,w]."""
    if form == "nchw":
        return tensor
    if form == "nhwc":
        return tensor.permute(0, 3, 1, 2)
    places = tensor[:, form:]
    side = int(places.shape[1] ** 0.5)
    return places.transpose(1, 2).reshape(tensor.shape[0], tensor.shape[2], side, side)


def reference(net, layer, form, picture):
    """Activations and gradient [2,C,h,w], Grad-CAM's map [h,w], and the layer's output."""
    output, logits = layer_output(net, layer, picture)
    logits = logits.flatten()
    (gradient,) = torch.autograd.grad(logits[logits.argmax()], output)
    activations, gradients = (as_map(t, form)[0].detach().numpy() for t in (output, gradient))
    weights = GradCAM.get_cam_weights(None, None, None, None, activations[None], gradients[None])[0]
    summed = (weights[:, None, None] * activations).sum(0)
    return np.stack([activations, gradients]), np.maximum(summed, 0).astype(np.float32), output.detach().numpy()


def export(net, picture, path, exporter):
    options = {"input_names": ["image"], "output_names": ["scores"], "opset_version": 18}
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            torch.onnx.export(net, (picture,), path, dynamo=True, external_data=False, **options)
        else:
            torch.onnx.export(net, (picture,), path, dynamo=False, **options)
    without_remarks(path)


def without_remarks(path):
    """Removes source locations, which take more space than the nets."""
    model = onnx.load(path)
    model.graph.ClearField("value_info")
    model.graph.ClearField("metadata_props")
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    onnx.save(model, path)


def named_like(path, picture, wanted):
    """The last tensor of an ONNX file that has these values."""
    model = onnx.load(path)
    tensors = [output for node in model.graph.node for output in node.output if output]
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in tensors if t not in known)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    values = dict(zip(names, session.run(None, {"image": picture})))
    near = 2e-2 if picture.dtype == np.float16 else 1e-3
    alike = lambda v: v.shape == wanted.shape and np.allclose(v, wanted, atol=near * np.abs(wanted).max())
    found = [name for name in tensors if name in values and alike(values[name])]
    assert found, f"{path}: no tensor has the values"
    return found[-1]


def main():
    OUT.mkdir(exist_ok=True)
    torch.manual_seed(7)
    whole = torch.rand(1, 3, SIDE, SIDE)
    np.save(OUT / "input.npy", (whole * 255).round().numpy().astype(np.uint8))
    whole = (whole * 255).round() / 255
    listed = OUT / "models.json"
    lines = json.loads(listed.read_text()) if listed.exists() and sys.argv[1:] else []
    for number, family in enumerate(families()):
        if sys.argv[1:] and family.name not in sys.argv[1:]:
            continue
        net = family.net.eval()
        randomise(net, 200 + number)
        kind = next(net.parameters()).dtype
        picture = whole[..., : family.size, : family.size].to(kind)
        exact = {name: value.float() for name, value in net.state_dict().items()} if kind == torch.float16 else None
        lines = [line for line in lines if line["name"] != family.name]
        exports = []
        for exporter in family.exporters:
            path = OUT / f"{family.name}.{exporter}.onnx"
            export(net, picture, path, exporter)
            exports.append(path)
        if exact:
            net = net.float()
        early = None
        for which, layer, form in (
            ("default", family.default, family.default_as),
            ("early", family.early, family.early_as),
        ):
            values, cam, output = reference(net, layer, form, picture.float())
            np.save(OUT / f"{family.name}.{which}.npy", values)
            np.save(OUT / f"{family.name}.{which}.map.npy", cam)
            early = output
            print(f"{family.name:18} {which:8} {values.shape} map up to {cam.max():.3g}")
        for path in exports:
            tensor = named_like(path, picture.numpy(), early)
            line = {"name": family.name, "file": path.name, "size": family.size, "early": tensor}
            # Half precision rounds after every operation.
            lines.append({**line, "tolerance": 1e-2} if exact else line)
    listed.write_text(json.dumps(lines, indent=0) + "\n")


if __name__ == "__main__":
    main()

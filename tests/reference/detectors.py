#!/usr/bin/env python3
"""Writes small seeded detectors of many families and what their detections and gradients must be.

    pip install -r tests/reference/requirements.txt
    python tests/reference/detectors.py [NAME ...]

Writes to tests/reference/detectors/:

- NAME.onnx, by PyTorch's exporter that traces, opset 17
- NAME.LAYER.npy for the layers head, neck and backbone: float32 [2,C,h,w], the activations and the gradient of the
  class logit (before sigmoid or softmax) of the best detection. Tokens are folded to the grid
- detectors.json, one object per net: see `described`
- input.npy: the picture, uint8 [1,3,H,W]; every net takes its upper left corner, divided by 255

The nets are in detector_nets.py, detector_exports.py, detector_nanodet.py, detector_faces.py and
detector_libraries.py.

The expected values come from PyTorch: autograd for gradients, torchvision.ops.nms class by class for dense heads,
the outputs of torchvision's models that have NMS inside, transformers' post_process_object_detection for its models.
Boxes are not clipped to the picture, except by torchvision's models. RT-DETR and D-FINE detach tensors inside
`forward`, and an ONNX graph does not: here `detach` returns its own tensor, so that the reference is the derivative
of the exported graph. torchvision's RoIAlign has no derivative by its boxes, here as in PyTorch.
A seed is tried until scores, boxes and gradients are well apart from ties and zeros (see `Unusable`).
"""

import contextlib
import io
import json
import sys
import warnings
from itertools import count
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torchvision.ops import nms

OUT = Path(__file__).with_suffix("")

import detector_exports as exports
import detector_faces as faces
import detector_libraries as libraries
import detector_nanodet as nanodet
import detector_nets as own
from detector_nets import Unusable, need
from models import randomise, without_remarks

SIDE, MOST, LEAST = 256, 16, 6
LAYERS = "head", "neck", "backbone"


class Candidates:
    """All that a net found, best first: rows of the logits, classes, scores and boxes [n,4]."""

    def __init__(self, rows, classes, scores, boxes):
        order = scores.argsort(descending=True, stable=True)
        self.rows, self.classes, self.scores, self.boxes = (t.detach()[order] for t in (rows, classes, scores, boxes))

    def best(self, threshold, overlap=None):
        """Indices of the detections."""
        passed = (self.scores >= threshold).nonzero()[:, 0]
        if overlap is None:
            return passed
        kept = torch.zeros(len(self.scores), dtype=torch.bool)
        for label in self.classes[passed].unique():
            these = passed[self.classes[passed] == label]
            kept[these[nms(self.boxes[these], self.scores[these], overlap)]] = True
        return kept.nonzero()[:, 0]


def dense_candidates(net, outputs):
    """Every pair of box and class."""
    boxes, scores = net.read(*outputs)
    rows, classes = (t.flatten() for t in torch.meshgrid(*map(torch.arange, scores.shape), indexing="ij"))
    return Candidates(rows, classes, scores.flatten(), boxes[rows])


def choose_threshold(candidates, overlap):
    """A threshold in a wide gap between two scores that leaves from LEAST to MOST detections."""
    scores, found = candidates.scores, []
    for rank in range(LEAST, min(80, len(scores))):
        gap, middle = float(scores[rank - 1] - scores[rank]), float(scores[rank - 1] + scores[rank]) / 2
        if gap > 4e-4 and middle > 0.01 and LEAST <= len(candidates.best(middle, overlap)) <= MOST:
            found.append((gap * rank, round(middle, 4)))
    need(found, "no threshold leaves a good number of detections")
    return max(found)[1]


def check_detections(candidates, chosen, threshold, overlap, size):
    scores, boxes = candidates.scores[chosen], candidates.boxes[chosen]
    need((scores[:-1] - scores[1:]).min() > 2e-4, "scores are alike")
    need((scores[:3] - scores[1:4]).min() > 1e-3, "the best scores are alike")
    need(len(candidates.classes[chosen].unique()) > 1 or len(candidates.classes.unique()) == 1, "only one class")
    sides = boxes[:, 2:] - boxes[:, :2]
    need(sides.min() > 2 and (sides[0] < 0.9 * torch.tensor(size[::-1])).all(), "a box is too small or large")
    centres = (boxes[:, 2:] + boxes[:, :2]) / 2
    inside = ((centres > 0) & (centres < torch.tensor(size[::-1]))).all(1)
    need(inside.float().mean() > 0.8 and inside[0], "boxes are outside of the picture")
    if overlap is not None:
        need(len(chosen) < (candidates.scores >= threshold).sum(), "NMS removes nothing")
        for near in (overlap - 0.01, overlap + 0.01):
            need(torch.equal(candidates.best(threshold, near), chosen), "an overlap is near the limit")


def gradients(logit, layers, level):
    """Each layer's tensor and the gradient by it.

    Of a list, the tensor of the best detection's level; where that is not known, the last tensor that has a gradient
    (head) or the first (neck).
    """
    found = {}
    for name in LAYERS:
        tensors = layers[name] if isinstance(layers[name], (list, tuple)) else [layers[name]]
        if level is not None and len(tensors) > 1:
            tensors = [tensors[level]]
        by = torch.autograd.grad(logit, tensors, retain_graph=True, allow_unused=True)
        reached = [(t, g) for t, g in zip(tensors, by) if g is not None and g.abs().max() > 1e-5]
        need(reached, f"nothing reaches {name}")
        found[name] = reached[-1 if name == "head" else 0]
    return found


def folded(tensor, tokens):
    """A layer [1,C,h,w], or tokens [1,n,C] by the grid and the number of others before and after, as [C,h,w]."""
    tensor = tensor[0].detach()
    if tensor.ndim == 3:
        return tensor
    height, width, before, _ = tokens
    return tensor[before : before + height * width].T.reshape(-1, height, width)


def with_contiguous_gradients(net):
    """PyTorch 2.12.1 gives wrong gradients through a batch norm of one picture if strides are those of tokens."""

    def contiguous(_, __, output):
        if output.requires_grad and not torch.jit.is_tracing():
            output.register_hook(lambda gradient: gradient.contiguous())

    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(contiguous)
    return net


def export(net, inputs, path):
    names = [net.input_name, *getattr(net, "more_inputs", {})]
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"input_names": names, "output_names": list(net.outputs), "opset_version": 17, "dynamo": False}
        torch.onnx.export(net, ([inputs[0]],) if net.batchless else inputs, path, **options)
    without_remarks(path)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, net.metadata)
    onnx.save(model, path)


def all_tensors(path, inputs):
    """The outputs of an ONNX file, and all its tensors in order, by name."""
    model = onnx.load(path)
    known = [output.name for output in model.graph.output]
    tensors = [o for node in model.graph.node for o in node.output if o]
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in tensors if t not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    feeds = dict(zip((i.name for i in session.get_inputs()), (i.numpy() for i in inputs)))
    names = [output.name for output in session.get_outputs()]
    values = dict(zip(names, session.run(None, feeds)))
    return [values[name] for name in known], {name: values[name] for name in tensors}


def check_export(path, inputs, outputs, layers):
    """Compares ONNX Runtime with PyTorch, and returns the names of the layers' tensors."""
    ours, tensors = all_tensors(path, inputs)
    assert len(ours) == len(outputs), f"{path}: {len(ours)} outputs"
    for a, b in zip(ours, outputs):
        b = b.detach().numpy()
        need(a.shape == b.shape and np.allclose(a, b, atol=1e-4 * max(1, np.abs(b).max())), "ONNX Runtime differs")
    names = {}
    for name, (tensor, _) in layers.items():
        wanted = tensor.detach().numpy()
        near = 1e-3 * np.abs(wanted).max()
        alike = lambda v: v.shape == wanted.shape and v.dtype == wanted.dtype and np.allclose(v, wanted, atol=near)
        found = [tensor for tensor, value in tensors.items() if alike(value)]
        assert found, f"{path}: no tensor has the values of {name}"
        names[name] = found[-1]
    return names


def forward(net, inputs):
    outputs = net([inputs[0]]) if net.batchless else net(*inputs)
    return outputs if isinstance(outputs, (tuple, list)) else (outputs,)


def attempt(name, net, seed, inputs):
    """One line of detectors.json and the arrays of the layers, or Unusable."""
    randomise(net, seed)
    net.requires_grad_(True)
    net.settle(inputs[0])
    outputs = forward(net, inputs)
    dense = not hasattr(net, "picked")
    candidates = dense_candidates(net, outputs) if dense else Candidates(*net.picked(*outputs))
    overlap = 0.45 if dense else None
    threshold = choose_threshold(candidates, overlap)
    chosen = candidates.best(threshold, overlap)
    check_detections(candidates, chosen, threshold, overlap, net.size)
    logits, levels = net.kept["logits"], getattr(net, "levels", net.kept.get("levels"))
    column = lambda i: candidates.classes[i] - net.first_label + net.first_column
    logit_of = lambda i: logits[candidates.rows[i], column(i)]
    best = chosen[0]
    level = None if levels is None else int(levels[candidates.rows[best]])
    need(getattr(net, "best_level", level) == level, "the best is in another level")
    layers = gradients(logit_of(best), net.kept, level)
    path = OUT / f"{name}.onnx"
    export(net, inputs, path)
    names = check_export(path, inputs, outputs, layers)
    tokens = getattr(net, "tokens", None)
    arrays = {layer: np.stack([folded(t, tokens).numpy() for t in pair]) for layer, pair in layers.items()}
    detections = [
        {
            "class_index": int(candidates.classes[i]),
            "score": float(candidates.scores[i]),
            "logit": float(logit_of(i).detach()),
            "box": [float(side) for side in candidates.boxes[i]],
        }
        for i in chosen
    ]
    return described(name, net, threshold, overlap, detections, names, tokens), arrays


def described(name, net, threshold, overlap, detections, names, tokens):
    """The object for detectors.json. `columns` are those of the class logits, `first_column` that of `first_label`."""
    line = {"name": name, "file": f"{name}.onnx", "width": net.size[1], "height": net.size[0]}
    line |= {"batchless": net.batchless, "inputs": getattr(net, "more_inputs", {})}
    line |= {"labels": net.labels, "first_label": net.first_label, "first_column": net.first_column}
    line |= {"columns": net.kept["logits"].shape[-1], "threshold": threshold}
    line |= {"overlap": getattr(net, "overlap", overlap), "detections": detections, "layers": names}
    if tokens:
        line["tokens"] = dict(zip(("height", "width", "prefix", "suffix"), tokens))
    return line | {"tolerance": getattr(net, "tolerance", 2e-3)}


def picture():
    """Large and small random spots."""
    random = torch.Generator().manual_seed(11)
    spots = lambda side: torch.rand(1, 3, side, side, generator=random)
    enlarged = lambda side: torch.nn.functional.interpolate(spots(side), SIDE, mode="bicubic", antialias=True)
    values = (0.55 * enlarged(9) + 0.35 * enlarged(30) + 0.1 * spots(SIDE)).clamp(0, 1)
    return ((values - values.min()) / (values.max() - values.min()) * 255).round()


def families():
    yield "yolov8", own.YoloV8
    yield "yolov5", own.YoloV5
    yield "yolo_end2end", own.YoloEndToEnd
    yield "yolox_raw", own.YoloX
    yield "yolox_decoded", own.YoloXDecoded
    yield "ppyoloe", own.PpYoloE
    yield "ultraface", faces.UltraFace
    yield "retinanet_levels", libraries.RetinaNetLevels
    yield "nanodet", nanodet.NanoDet
    yield "fastestdet", own.FastestDet
    yield "blazeface", faces.BlazeFace
    yield "retinanet", libraries.RetinaNet
    yield "fcos", libraries.Fcos
    yield "ssd", libraries.Ssd
    yield "fasterrcnn", libraries.FasterRcnn
    yield "rtdetr", libraries.RtDetr
    yield "rtdetr_official", libraries.RtDetrOfficial
    yield "dfine", libraries.DFine
    yield "rfdetr", libraries.RfDetr
    yield "detr", libraries.Detr
    yield "yolos", libraries.Yolos
    yield "nanodet_plus", nanodet.NanoDetPlus
    yield "nanodet_joined", nanodet.NanoDetJoined
    yield "yolov8_rows", exports.YoloV8Rows
    yield "largest_class", exports.LargestClass
    yield "largest_rows", exports.LargestRows
    yield "scored_boxes", exports.ScoredBoxes
    yield "padded_rows", exports.PaddedRows
    yield "background_last", faces.BackgroundLast
    yield "confident_boxes", exports.ConfidentBoxes
    yield "numbered_rows", exports.NumberedRows
    yield "labelled_rows", exports.LabelledRows
    yield "product_rows", exports.ProductRows
    yield "rows_with_ones", exports.RowsWithOnes
    yield "largest_columns", exports.LargestColumns


def main():
    OUT.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    whole = picture()
    np.save(OUT / "input.npy", whole.numpy().astype(np.uint8))
    listed = OUT / "detectors.json"
    lines = json.loads(listed.read_text()) if listed.exists() else []
    for number, (name, make) in enumerate(families()):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        net = with_contiguous_gradients(make().eval())
        height, width = net.size
        if isinstance(net, own.Dense) and not isinstance(net, faces.Ssd):
            net.best_level = number % len(net.strides)
        image = whole[..., :height, :width] / 255
        more = getattr(net, "more_inputs", {}).values()
        inputs = (image[0] if net.batchless else image, *(torch.tensor(values) for values in more))
        refused = {}
        for seed in count(1000 * (number + 1)):
            try:
                line, arrays = attempt(name, net, seed, inputs)
                break
            except Unusable as why:
                refused[str(why)] = refused.get(str(why), 0) + 1
                assert sum(refused.values()) < 300, f"{name}: {refused}"
        for layer, values in arrays.items():
            np.save(OUT / f"{name}.{layer}.npy", values)
        lines = [old for old in lines if old["name"] != name] + [line]
        listed.write_text(json.dumps(lines, indent=1) + "\n")
        shapes = {layer: values.shape for layer, values in arrays.items()}
        best, last = line["detections"][0], line["detections"][-1]
        size, scores = (OUT / line["file"]).stat().st_size // 1000, f"{last['score']:.3f} to {best['score']:.3f}"
        print(f"{name:16} seed {seed}, {len(line['detections'])} detections {scores}, {size} kB, {shapes}, {refused}")


if __name__ == "__main__":
    main()

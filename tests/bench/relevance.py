#!/usr/bin/env python3
"""Compares layer-wise relevance of one picture by zennit and by whycam, each with its own plain forward pass.

    cargo build --release
    pip install zennit==0.5.1 torch torchvision onnx
    python3 tests/bench/relevance.py

VGG-16 and ResNet-50 of torchvision with random weights at 224x224, two threads. zennit runs in this process; whycam's times
come from `whycam bench` (the run and the map). The script prints medians in milliseconds, and how many forward passes of the
same runtime that is.
"""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
import torchvision
from zennit.composites import LayerMapComposite
from zennit.rules import Epsilon, Gamma, Norm, Pass, ZPlus
from zennit.torchvision import ResNetCanonizer, VGGCanonizer
from zennit.types import Activation, AvgPool, Convolution, Linear

ROOT = Path(__file__).resolve().parents[2]
WHYCAM = ROOT / "target/release/whycam"
RUNS = 7
NETS = {"vgg16": VGGCanonizer, "resnet50": ResNetCanonizer}
RULES = {"lrp-epsilon": Epsilon(), "lrp-z-plus": ZPlus(), "lrp-gamma": Gamma(0.25)}


def median_ms(step):
    times = []
    for _ in range(1 + RUNS):
        began = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[1:])


def by_zennit(net, picture, canonizer, rule):
    layers = [(Activation, Pass()), (AvgPool, Norm()), (Convolution, rule), (Linear, Epsilon())]
    with LayerMapComposite(layers, canonizers=[canonizer()]).context(net) as modified:

        def relevance():
            leaf = picture.clone().requires_grad_()
            logits = modified(leaf)
            seed = torch.zeros_like(logits)
            seed[0, 7] = 1
            torch.autograd.grad(logits, leaf, seed)

        return median_ms(relevance)


def by_whycam(model, method):
    command = [WHYCAM, "bench", "--model", model, "--preset", "imagenet", "--threads", "2", "--frames", "3"]
    printed = subprocess.run([*command, "--method", method, "--json", "-"], check=True, capture_output=True, text=True)
    result = json.loads(printed.stdout)
    return result["forward_ms"], result["explained_ms"]


def plain(net, picture):
    with torch.no_grad():
        net(picture)


def measure(name, folder):
    torch.manual_seed(0)
    net = torchvision.models.get_model(name, weights=None).eval()
    picture = torch.rand(1, 3, 224, 224)
    model = Path(folder) / f"{name}.onnx"
    torch.onnx.export(net, picture, model, dynamo=False)
    for method, rule in RULES.items():
        forward = median_ms(lambda: plain(net, picture))
        zennit = by_zennit(net, picture, NETS[name], rule)
        own, explained = by_whycam(model, method)
        print(f"{name} {method}: zennit {zennit:.1f} / {forward:.1f} = {zennit / forward:.2f}, "
              f"whycam {explained:.1f} / {own:.1f} = {explained / own:.2f}", flush=True)


def main():
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        for name in NETS:
            measure(name, folder)


if __name__ == "__main__":
    main()

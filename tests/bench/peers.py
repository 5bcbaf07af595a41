#!/usr/bin/env python3
"""Compares Grad-CAM for one picture by pytorch-grad-cam, torchcam and whycam, and the plain forward pass.

    cargo build --release
    python3 tests/bench/peers.py

Five torchvision nets with random weights at 224x224, two threads, the same target layer. The PyTorch libraries run in
this process; whycam's times come from `whycam bench` (the run and the map). Runs alternate; the script prints medians in
milliseconds. All three take a tensor as input.
"""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
import torchcam.methods
import torchvision
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

ROOT = Path(__file__).resolve().parents[2]
WHYCAM = ROOT / "target/release/whycam"
TURNS = 3
RUNS = 20
NETS = {
    "mobilenet_v2": lambda net: net.features[-1],
    "resnet18": lambda net: net.layer4[-1],
    "resnet50": lambda net: net.layer4[-1],
    "efficientnet_b0": lambda net: net.features[-1],
    "squeezenet1_1": lambda net: net.classifier[2],
}


def median_ms(step):
    times = []
    for _ in range(3 + RUNS):
        began = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[3:])


def bench(model):
    command = [WHYCAM, "bench", "--model", model, "--preset", "imagenet", "--threads", "2", "--frames", "5", "--json", "-"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(name, layer_of, folder):
    torch.manual_seed(0)
    net = torchvision.models.get_model(name, weights=None).eval()
    picture = torch.rand(1, 3, 224, 224)
    model = Path(folder) / f"{name}.onnx"
    torch.onnx.export(net, picture, model, dynamo=False)
    grad_cam = GradCAM(model=net, target_layers=[layer_of(net)])
    target = [ClassifierOutputTarget(7)]
    found = {"plain": [], "whycam": [], "pytorch-grad-cam": [], "torchcam": []}
    for _ in range(TURNS):
        figures = bench(model)
        found["plain"].append(figures["forward_ms"])
        found["whycam"].append(figures["explained_ms"])
        found["pytorch-grad-cam"].append(median_ms(lambda: grad_cam(input_tensor=picture, targets=target)))
        with torchcam.methods.GradCAM(net, target_layer=layer_of(net)) as extractor:
            found["torchcam"].append(median_ms(lambda: extractor(7, net(picture.requires_grad_()))))
    return {what: statistics.median(times) for what, times in found.items()}


def main():
    torch.set_num_threads(2)
    print("| net | plain | whycam | of the plain | pytorch-grad-cam | torchcam |\n| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, layer_of in NETS.items():
            of = measure(name, layer_of, folder)
            peers = [f"{of[peer]:.1f} ms, {of[peer] / of['whycam']:.1f} times" for peer in ("pytorch-grad-cam", "torchcam")]
            ratio = of["whycam"] / of["plain"]
            print(f"| {name} | {of['plain']:.2f} ms | {of['whycam']:.2f} ms | {ratio:.3f} | {peers[0]} | {peers[1]} |")


if __name__ == "__main__":
    main()

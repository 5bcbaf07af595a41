#!/usr/bin/env python3
"""Measures the cost of an augmented model relative to the plain one, at the default layer.

    pip install -r tests/reference/requirements.txt
    cargo build --release
    python tests/bench/prepared_cost.py [--small]

Takes full-width nets of torchvision and timm at 224x224, or with --small the nets of tests/reference/models. One
thread; runs alternate, and times are medians. Prints a Markdown table, and whether the model's own outputs are
unchanged bit for bit.
"""

import contextlib
import io
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parents[2]
WHYCAM = ROOT / "target/release/whycam"
NETS = """tv:resnet18 tv:resnet50 tv:resnext50_32x4d tv:wide_resnet50_2 tv:vgg11_bn tv:alexnet tv:squeezenet1_1
    tv:densenet121 tv:inception_v3 tv:googlenet tv:mobilenet_v2 tv:mobilenet_v3_large mobilenetv1_100
    mobilenetv4_conv_medium tv:mnasnet1_0 tv:shufflenet_v2_x1_0 tv:efficientnet_b0 tv:efficientnet_v2_s
    efficientnet_lite0 tv:regnet_y_800mf tv:convnext_tiny convnextv2_nano nfnet_f0 ghostnet_100 repvgg_a2
    deit_tiny_distilled_patch16_224 vit_small_patch16_224 vit_base_patch16_gap_224 tv:swin_t tv:swin_v2_t tv:maxvit_t
    coatnet_0_rw_224 pvt_v2_b1 mixer_s16_224 poolformer_s12""".split()


def export(name, path):
    import timm
    import torch
    import torchvision

    torch.manual_seed(0)
    if name.startswith("tv:"):
        net = getattr(torchvision.models, name[3:])(weights=None)
    else:
        net = timm.create_model(name)
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = torch.rand(1, 3, 224, 224)
        torch.onnx.export(net.eval(), (picture,), path, opset_version=18, dynamo=False)


def measure(plain, folder):
    prepared = folder / "prepared.onnx"
    subprocess.run([WHYCAM, "prepare", plain, "-o", prepared, "--force", "--quiet"], check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    sessions = [onnxruntime.InferenceSession(str(path), options) for path in (plain, prepared)]
    taken = sessions[0].get_inputs()[0]
    kind = np.float16 if "float16" in taken.type else np.float32
    shape = [size if isinstance(size, int) else 1 for size in taken.shape]
    picture = np.random.default_rng(0).random(shape).astype(kind)
    feeds = [{taken.name: picture}, {taken.name: picture, "class_index": np.array([-1], np.int64)}]
    own = [output.name for output in sessions[0].get_outputs()]
    before, after = (session.run(own, feed) for session, feed in zip(sessions, feeds))
    times = [[], []]
    end = time.perf_counter() + 4
    while len(times[0]) < 8 or (time.perf_counter() < end and len(times[0]) < 300):
        for session, feed, durations in zip(sessions, feeds, times):
            start = time.perf_counter()
            session.run(None, feed)
            durations.append(time.perf_counter() - start)
    same = all((a == b).all() for a, b in zip(before, after))
    return (*(1e3 * statistics.median(t[2:]) for t in times), same)


def main():
    small = "--small" in sys.argv
    models = ROOT / "tests/reference/models"
    rows = []
    print("| net | plain ms | explains itself ms | ratio | own outputs |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name in sorted(path.name for path in models.glob("*.onnx")) if small else NETS:
            path = models / name
            if not small:
                path = folder / "plain.onnx"
                export(name, path)
            plain, prepared, same = measure(path, folder)
            rows.append((prepared / plain, prepared - plain, same))
            kept = "same bits" if same else "changed"
            name = name.removeprefix("tv:")
            print(f"| {name} | {plain:.2f} | {prepared:.2f} | {prepared / plain:.3f} | {kept} |", flush=True)
    ratios, added, same = zip(*rows)
    print(f"\nmedian ratio {statistics.median(ratios):.3f}, median addition {statistics.median(added):.3f} ms,")
    print(f"own outputs the same bits in {sum(same)} of {len(same)}")


if __name__ == "__main__":
    main()

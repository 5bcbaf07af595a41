#!/usr/bin/env python3
"""Makes `flowers-int8` from `flowers`: 8-bit weights and activations up to the target layer (QDQ).

    pip install -r models/training/requirements-int8.txt
    cargo build --release
    python models/training/flowers_int8.py TRAIN --val VAL --test TEST --out models

TRAIN, VAL and TEST are folders of class folders. Photos of TRAIN calibrate the range of each activation. whycam itself
measures accuracy, the likeness of the maps to those of `flowers` (cosine, on photos where both predict the same class),
and the time of the plain forward pass relative to `flowers`. Weights use 7 bits, because processors without dot products
of bytes overflow at 8 (ONNX Runtime's documentation, "When to use reduce-range"). A float16 model is measured too, and
then discarded.
"""

import argparse
import hashlib
import json
import random
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxconverter_common import float16
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
WHYCAM = ROOT / "target/release/whycam"
CALIBRATION_PHOTOS = 200
TURNS = 5


class Photos(CalibrationDataReader):
    """Model inputs for calibration, one photo each."""

    def __init__(self, folder, input_name, side, seed):
        photos = sorted(path for path in Path(folder).glob("*/*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
        self.photos = iter(random.Random(seed).sample(photos, min(CALIBRATION_PHOTOS, len(photos))))
        self.input_name, self.side = input_name, side

    def get_next(self):
        photo = next(self.photos, None)
        if photo is None:
            return None
        with Image.open(photo) as opened:
            square = opened.convert("RGB").resize((self.side, self.side), Image.Resampling.BILINEAR)
        pixels = (np.asarray(square, np.float32) - 127) / 128
        return {self.input_name: pixels.transpose(2, 0, 1)[None]}


def quantised(source, target, photos_folder, seed):
    """Quantises the convolutions; nodes after the last one stay unchanged."""
    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(prepared)
    last = max(place for place, node in enumerate(model.graph.node) if node.op_type == "Conv")
    behind = {node.name for node in model.graph.node[last + 1 :]} - {
        node.name for node in model.graph.node if node.op_type == "Clip"
    }
    side = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    quantize_static(
        str(prepared),
        str(target),
        Photos(photos_folder, model.graph.input[0].name, side, seed),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=sorted(behind),
    )
    model = onnx.load(target)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim == 2 and values.dtype == np.float32:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + ".half"))
            model.graph.node.insert(0, helper.make_node("Cast", [name + ".half"], [name], to=onnx.TensorProto.FLOAT))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)


def explained(model, folder, place):
    """whycam's JSON line and map for each photo."""
    maps = place / "maps"
    lines = subprocess.run(
        [WHYCAM, "explain", folder, "--model", model, "--maps", maps, "--json", "-", "--force", "--quiet"],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()
    return [(line, np.load(maps / line["map_file"]).ravel()) for line in map(json.loads, lines)]


def accuracy(results):
    return statistics.mean(Path(line["input"]).parent.name == line["label"] for line, _ in results)


def agreement(ours, theirs):
    """The share of photos with the same predicted class, and the cosines of their maps."""
    same = [(a, b) for (one, a), (other, b) in zip(ours, theirs, strict=True) if one["label"] == other["label"]]
    return len(same) / len(ours), [float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for a, b in same]


def forward_ms(models):
    """Median times of the plain forward pass, measured in turns."""
    taken = {model: [] for model in models}
    for _ in range(TURNS):
        for model, times in taken.items():
            run = subprocess.run([WHYCAM, "bench", "--model", model, "--json", "-", "--quiet"], check=True, capture_output=True)
            times.append(json.loads(run.stdout)["forward_ms"])
    return [statistics.median(times) for times in taken.values()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("--val", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--out", default="models")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--machine", default="this machine", help="for the manifest")
    options = parser.parse_args()
    out = Path(options.out)
    source, manifest = out / "flowers.onnx", (out / "flowers.toml").read_text()

    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        new = place / "flowers-int8.onnx"
        quantised(source, new, options.train, options.seed)
        half = place / "flowers-float16.onnx"
        plain = onnx.load(new.with_suffix(".prepared.onnx"))
        onnx.save(float16.convert_float_to_float16(plain, keep_io_types=True, check_fp16_ready=False), half)
        settings = manifest[manifest.index("[input]") : manifest.index("measure =")]
        for file in (new, half):
            labels = re.search(r"^labels = .*$", manifest, re.M)[0]
            file.with_suffix(".toml").write_text(f'name = "{file.stem}"\n{labels}\noutput = "logits"\n\n{settings}')
        results = {part: [explained(str(model), getattr(options, part), place) for model in ("flowers", new, half)] for part in ("val", "test")}
        times = forward_ms(["flowers", str(new), str(half)])
        same, cosines = agreement(results["val"][0], results["val"][1])
        half_same, half_cosines = agreement(results["val"][0], results["val"][2])
        sure = [statistics.mean(line["sure"] for line, _ in results[part][1]) for part in ("val", "test")]
        text = MANIFEST.format(
            labels=labels, settings=settings, sha256=hashlib.sha256(new.read_bytes()).hexdigest(), seed=options.seed,
            photos=CALIBRATION_PHOTOS, kept=sure[0], kept_test=sure[1],
            backbone=manifest[manifest.index("backbone =") : manifest.index("seed =")],
            val=accuracy(results["val"][1]), test=accuracy(results["test"][1]),
            val_count=len(results["val"][1]), test_count=len(results["test"][1]),
            same=same, mean=statistics.mean(cosines), least=min(cosines), forward=times[1] / times[0], machine=options.machine,
            half_val=accuracy(results["val"][2]), half_same=half_same, half_mean=statistics.mean(half_cosines), half_forward=times[2] / times[0],
        )
        (out / "flowers-int8.onnx").write_bytes(new.read_bytes())
        (out / "flowers-int8.toml").write_text(text)
    print(text)


MANIFEST = '''# flowers, in 8 bits. Written by models/training/flowers_int8.py.
name = "flowers-int8"
description = "flowers in 8 bits: faster where the processor multiplies bytes"
{labels}
output = "logits"
sha256 = "{sha256}"
licence = "Apache-2.0"

{settings}measure = """
As flowers has it, of 8-bit features. The limit keeps {kept:.3f} of val, and {kept_test:.3f} of test."""

[training]
data = "flowers, its activations' ranges by {photos} photos of those that it was trained on"
{backbone}seed = {seed}
command = "python models/training/flowers_int8.py TRAIN --val VAL --test TEST --out models"

[accuracy]
val = {val:.4f}
test = {test:.4f}
note = "val has {val_count} photos, test {test_count}"

# Beside flowers, on val: how often both name the same class, and the cosine of the maps where they do.
[agreement]
class = {same:.4f}
map_mean = {mean:.4f}
map_least = {least:.4f}

[speed]
forward = {forward:.2f}
note = "of the time that flowers takes; {machine}"

# All of flowers in float16, which is not kept: ONNX Runtime has float32 only for most ops on x86, and casts to and fro.
[float16]
val = {half_val:.4f}
class = {half_same:.4f}
map_mean = {half_mean:.4f}
forward = {half_forward:.2f}
'''

if __name__ == "__main__":
    main()

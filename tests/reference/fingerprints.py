#!/usr/bin/env python3
"""Fingerprints of what the program makes: augmented graphs, JSON lines, maps and pictures.

    python3 tests/reference/fingerprints.py target/release/whycam before.json
    python3 tests/reference/fingerprints.py target/release/whycam after.json --against before.json

A change that must not alter results leaves every fingerprint as it was. They are those of one machine: another
processor rounds differently.

A graph's fingerprint does not depend on generated names (`whycam.7.Mul`) or on the order of independent nodes: every
tensor is hashed by its operator, its attributes and the hashes of its inputs.
"""
import argparse
import hashlib
import json
import os
import re
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import onnx

ROOT = Path(__file__).resolve().parents[2]
GENERATED = re.compile(r"^whycam\.\d+\.")


def sha(*parts):
    digest = hashlib.sha256()
    for part in parts:
        part = part.encode() if isinstance(part, str) else part
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def name_of(tensor):
    return "" if GENERATED.match(tensor) else tensor


def attribute_hash(attribute):
    copy = onnx.AttributeProto()
    copy.CopyFrom(attribute)
    copy.doc_string = ""
    return sha(copy.SerializeToString(deterministic=True))


def graph_fingerprint(path):
    model = onnx.load(path)
    graph = model.graph
    hashes = {"": sha("none")}
    for value in graph.input:
        hashes[value.name] = sha("input", value.SerializeToString(deterministic=True))
    for tensor in graph.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = name_of(tensor.name)
        hashes[tensor.name] = sha("constant", copy.SerializeToString(deterministic=True))
    nodes = []
    for node in graph.node:
        # `keepdims` is 1 where nothing is stated.
        stated = (a for a in node.attribute if not (a.name == "keepdims" and a.i == 1))
        attributes = sorted(attribute_hash(a) for a in stated)
        inputs = [hashes.get(i, i) for i in node.input]
        whole = sha(node.op_type, node.domain, *attributes, "|", *inputs)
        for number, output in enumerate(node.output):
            hashes[output] = sha(whole, str(number), name_of(output))
        nodes.append(whole)
    outputs = [sha(value.SerializeToString(deterministic=True), hashes[value.name]) for value in graph.output]
    metadata = [sha(entry.key, entry.value) for entry in model.metadata_props]
    opsets = [f"{entry.domain}:{entry.version}" for entry in model.opset_import]
    return sha(*sorted(set(nodes)), "|", *outputs, "|", *metadata, "|", *opsets, str(model.ir_version))


def write_png(path, width, height, pixel):
    rows = b"".join(b"\0" + bytes(c for x in range(width) for c in pixel(x, y)) for y in range(height))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def commands():
    """Name and arguments of each command, run in a folder with a.png, b.png and film.gif."""
    legacy = ROOT / "tests/reference/models"
    for model in ["flowers", "flowers-int8", "flowers-vgg"]:
        yield f"explain {model}", ["explain", "a.png", "b.png", "--model", model]
    methods = ["grad-cam++", "hires-cam", "layer-cam", "x-grad-cam", "grad-cam-elementwise", "finer-cam", "shapley-cam",
               "eigen-cam", "eigen-grad-cam", "recipro-cam", "smooth-grad-cam++", "gradient", "integrated-gradients"]
    for method in methods:
        yield f"method {method}", ["explain", "a.png", "--method", method]
    for method in ["ablation-cam", "score-cam", "shapley-cam", "smooth-grad-cam++"]:
        model = legacy / "resnet.legacy.onnx"
        yield f"small net {method}", ["explain", "a.png", "--model", str(model), "--method", method]
    for model in ["vit_class_token.dynamo", "swin.legacy", "keras_residual.tf2onnx", "convnext.dynamo"]:
        for extra in [[], ["--method", "layer-cam", "--class", "top3,1"], ["--method", "recipro-cam"]]:
            path = legacy / f"{model}.onnx"
            if path.exists():
                yield f"{model} {' '.join(extra)}", ["explain", "a.png", "--model", str(path), *extra]
    layers = ["--layer", "-1,-9,-20", "--method", "layer-cam"]
    yield "class by name and rank", ["explain", "a.png", "--class", "roses,top,3", "--method", "layer-cam", "--boxes", "0.5"]
    yield "three classes by grad-cam", ["explain", "a.png", "--class", "top3"]
    yield "contrast", ["explain", "a.png", "--contrast", "roses,tulips"]
    yield "fused by the largest", ["explain", "a.png", *layers]
    yield "fused by the mean", ["explain", "a.png", *layers, "--fuse", "mean"]
    yield "classes at fused layers", ["explain", "a.png", *layers, "--class", "top2"]
    yield "early layer", ["explain", "a.png", "--layer", "-40"]
    yield "animation", ["explain", "film.gif"]
    yield "scale and bar", ["explain", "film.gif", "-o", "out.gif", "--scale", "film", "--bar", "--colormap", "turbo"]
    yield "several classes in colour", ["explain", "a.png", "-o", "out.png", "--class", "top3", "--alpha", "0.7"]
    yield "picture", ["explain", "b.png", "-o", "out.png", "--scale", "logit"]
    yield "maps as pictures", ["explain", "a.png", "--maps-as", "png"]
    yield "demo", ["demo", "--headless", "--frames", "20", "--size", "160x120", "--record", "out.gif"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whycam", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    program = options.whycam.resolve()
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "XDG_CACHE_HOME": cache}
        env.pop("DISPLAY", None)

        def run(arguments, folder):
            result = subprocess.run([program, *arguments], cwd=folder, env=env, capture_output=True)
            if result.returncode != 0:
                return f"failed ({result.returncode}): {result.stderr.decode()[-300:]}"
            return sha(result.stdout)

        exports = json.loads((ROOT / "tests/reference/models/models.json").read_text())
        models = [(name, name, None) for name in ["flowers", "flowers-int8", "flowers-vgg"]]
        models += [(e["file"], str(ROOT / "tests/reference/models" / e["file"]), e["early"]) for e in exports]
        with tempfile.TemporaryDirectory() as folder:
            for name, model, early in models:
                for kind, extra in [("plain", []), ("cam", ["--cam"]), ("early", ["--layer", early] if early else None)]:
                    if extra is None:
                        continue
                    out = Path(folder) / "out.onnx"
                    told = run(["prepare", model, "-o", str(out), "--force", *extra], folder)
                    found[f"graph {name} {kind}"] = told if told.startswith("failed") else graph_fingerprint(out)
        for name, arguments in commands():
            with tempfile.TemporaryDirectory() as folder:
                here = Path(folder)
                write_png(here / "a.png", 97, 71, lambda x, y: (x * 7 % 256, y * 5 % 256, (x + 2 * y) % 256))
                write_png(here / "b.png", 60, 140, lambda x, y: (x * y % 256, (x ^ y) * 3 % 256, 255 - x))
                if "film.gif" in arguments:
                    run(["demo", "--headless", "--frames", "6", "--fps", "5", "--size", "120x90", "--record", "film.gif"], folder)
                before = set(here.iterdir())
                extra = ["--json", "-", "--threads", "1"] + (["--maps", "maps"] if arguments[0] == "explain" else [])
                told = run([*arguments, *extra], folder)
                files = sorted(p for p in here.rglob("*") if p.is_file() and p not in before)
                found[name] = told if told.startswith("failed") else {
                    "json": told, **{str(p.relative_to(here)): sha(p.read_bytes()) for p in files}}
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    failed = [name for name, value in found.items() if str(value).startswith("failed")]
    print(f"{len(found)} fingerprints, {len(failed)} failed: {failed}")
    if options.against:
        before = json.loads(options.against.read_text())
        differing = sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name))
        print(f"{len(differing)} differ from {options.against}: {differing}")
        raise SystemExit(1 if differing else 0)


if __name__ == "__main__":
    main()

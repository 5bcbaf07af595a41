#!/usr/bin/env python3
"""Compares whycam's speed on a film and on a folder of photos with the best that the machine allows.

    cargo build --release
    python3 tests/bench/film.py FILM [PHOTOS] [--model FILE.onnx] [--repeat N]

The bound is the processor time that must be spent, divided by the number of cores. ffmpeg alone decodes the film (and
encodes the explained pictures with the same settings), libjpeg decodes the photos, and ONNX Runtime runs the plain
forward passes. A second share also counts what ffmpeg needs to resize the pictures to the model's input, which is little
beside a classifier and much beside a small detector. Each uses one thread, where it needs the least time. All runs
alternate, and a share compares whycam with the bound of the same turn, since machines are uneven. The script prints
medians.

What whycam takes to start counts, the loading of the model included. With --repeat, the film is that of a longer run.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
WHYCAM = ROOT / "target/release/whycam"
TURNS = 5
RUNS = 150
CORES = len(os.sched_getaffinity(0))
H264 = ["-c:v", "libx264", "-threads", str(CORES), "-preset", "veryfast", "-crf", "20", "-an", "-f", "mp4"]


def processor_seconds(*command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def seconds(*command):
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def seconds_and_peak_mb(*command):
    """Time and peak resident memory of one run. `time` counts in KiB."""
    began = time.perf_counter()
    told = subprocess.run(["/usr/bin/time", "-f", "%M", *command], check=True, capture_output=True, text=True).stderr
    return time.perf_counter() - began, int(told.split()[-1]) * 1024 / 1e6


def forward(model):
    """Processor seconds for a plain forward pass on one thread, and the size of the input as ffmpeg writes it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Old exporters list weights as inputs too, which keeps ONNX Runtime from optimising them.
    plain = onnx.load(model)
    weights = {tensor.name for tensor in plain.graph.initializer}
    inputs = [entry for entry in plain.graph.input if entry.name not in weights]
    del plain.graph.input[:]
    plain.graph.input.extend(inputs)
    session = onnxruntime.InferenceSession(plain.SerializeToString(), options)
    entry = session.get_inputs()[0]
    picture = np.random.default_rng(0).random([1, *entry.shape[1:]], dtype=np.float32)
    for _ in range(10):
        session.run(None, {entry.name: picture})
    began = time.process_time()
    for _ in range(RUNS):
        session.run(None, {entry.name: picture})
    height, width = entry.shape[2:]
    return (time.process_time() - began) / RUNS, f"{width}:{height}"


def decode_photos(photos):
    began = time.process_time()
    for photo in photos:
        Image.open(photo).convert("RGB").load()
    return time.process_time() - began


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("film")
    parser.add_argument("photos", nargs="?", help="a folder of photos")
    parser.add_argument("--repeat", type=int, default=1, help="how many times the film is run through, as one film")
    parser.add_argument("--model", type=Path, default=ROOT / "models/flowers.onnx")
    return parser.parse_args()


def report(found, frames, photos):
    """Prints what was found in each turn, by name: frames (or photos) a second, the bound, and shares of it."""
    middle = {what: statistics.median(values) for what, values in found.items()}
    needed = {"explained": (frames, ["decode"]), "into a film": (frames, ["decode", "encode"])}
    if photos:
        needed["explained photos"] = (photos, ["photos"])
    print("| | frames | a second | bound | share of the bound | with resizing |\n| --- | --- | --- | --- | --- | --- |")
    for what, (count, besides) in needed.items():
        turns = list(zip(found[what], found["forward"], found["resize"], *(found[part] for part in besides)))
        bounds = [(count * passing + sum(others)) / CORES for _, passing, _, *others in turns]
        resizing = [count / frames * resize / CORES for _, _, resize, *_ in turns]
        share = statistics.median(bound / took for bound, took in zip(bounds, found[what]))
        resized = statistics.median((bound + more) / took for bound, more, took in zip(bounds, resizing, found[what]))
        speed, best = count / middle[what], count / statistics.median(bounds)
        print(f"| {what} | {count} | {speed:.0f} | {best:.0f} | {share:.2f} | {resized:.2f} |")
    of_frame = {part: 1000 * middle[part] / frames for part in ("decode", "resize", "encode")}
    of_frame["forward"] = 1000 * middle["forward"]
    parts = ", ".join(f"{part} {spent:.2f} ms" for part, spent in of_frame.items())
    print(f"\nOf a frame: {parts}. Peak memory into a film: {middle['memory']:.0f} MB.")


def main():
    given = arguments()
    folder = given.photos
    photos = sorted(path for path in Path(folder).rglob("*.jpg")) if folder else []
    explain = [WHYCAM, "explain", "--force", "--quiet", "--model", given.model]
    found = {}

    def note(what, value):
        found.setdefault(what, []).append(value)

    with tempfile.TemporaryDirectory() as place:
        film, lossless, out, lines = (
            f"{place}/{name}" for name in ("film.mkv", "lossless.mp4", "out.mp4", "lines.jsonl")
        )
        loop = ["-stream_loop", str(given.repeat - 1)]
        subprocess.run(["ffmpeg", "-v", "error", *loop, "-i", given.film, "-c", "copy", film], check=True)
        subprocess.run([*explain, film, "-o", lossless, "--quality", "0"], check=True)
        read = ["ffmpeg", "-v", "error", "-y", "-threads", "1", "-i"]
        for _ in range(TURNS):
            note("decode", processor_seconds(*read, film, "-f", "null", "-"))
            of_lossless = processor_seconds(*read, lossless, "-f", "null", "-")
            note("encode", processor_seconds(*read, lossless, *H264, os.devnull) - of_lossless)
            passing, size = forward(given.model)
            note("forward", passing)
            resize = ["-filter_threads", "1", "-vf", f"scale={size}:flags=bilinear,format=rgb24"]
            note("resize", processor_seconds(*read, film, *resize, "-f", "null", "-") - found["decode"][-1])
            note("explained", seconds(*explain, film, "--json", lines))
            frames = len(Path(lines).read_text().splitlines())
            into_a_film, memory = seconds_and_peak_mb(*explain, film, "-o", out)
            note("into a film", into_a_film)
            note("memory", memory)
            if photos:
                note("photos", decode_photos(photos))
                note("explained photos", seconds(*explain, folder, "--json", lines))
                explained = len([json.loads(line) for line in Path(lines).read_text().splitlines()])
    report(found, frames, explained if photos else 0)


if __name__ == "__main__":
    main()

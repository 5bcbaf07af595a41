#!/usr/bin/env python3
"""Counts how often a model is sure of a class in pictures that show none of its classes, and in pictures of folders that do.

    cargo build --release
    python3 tests/bench/unfamiliar.py FOLDER [FOLDER …] [--model NAME|FILE.onnx]

Takes the PNG and JPEG files of each folder that have at least 100 pixels on both sides, each once.
"""

import argparse
import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
WHYCAM = ROOT / "target/release/whycam"
LEAST_SIDE = 100


def pictures(folder):
    """The files to look at, in the order of their names."""
    seen = set()
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() not in {".jpg", ".jpeg", ".png"} or not path.is_file():
            continue
        try:
            with Image.open(path) as picture:
                small = min(picture.size) < LEAST_SIDE
        except OSError:
            continue
        content = hashlib.sha256(path.read_bytes()).digest()
        if not small and content not in seen:
            seen.add(content)
            yield path.resolve()


def sure(model, folder):
    """How many pictures of a folder there are, and how many the model is sure of."""
    with tempfile.TemporaryDirectory() as place:
        for index, path in enumerate(pictures(folder)):
            Path(place, f"{index:06}{path.suffix}").symlink_to(path)
        command = [WHYCAM, "explain", place, "--model", model, "--json", "-", "--quiet"]
        lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    told = [json.loads(line)["sure"] for line in lines]
    return len(told), sum(told)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--model", default="flowers")
    given = parser.parse_args()
    print("| folder | pictures | sure of | share |\n| --- | --- | --- | --- |")
    for folder in given.folders:
        count, of = sure(given.model, folder)
        print(f"| {folder} | {count} | {of} | {of / max(count, 1):.3f} |")


if __name__ == "__main__":
    main()

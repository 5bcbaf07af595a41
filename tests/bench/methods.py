#!/usr/bin/env python3
"""Measures each method on a film with the built-in model, relative to Grad-CAM, and three classes relative to one.

    cargo build --release
    python3 tests/bench/methods.py FILM

Runs `whycam explain` on one thread. The methods alternate, so that changes of the machine's speed affect all of them.
Prints the median frames per second and the ratio of times. Score-CAM and the methods at the input take seconds per
frame and are left out, and so are those that need attention.
"""

import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WHYCAM = ROOT / "target/release/whycam"
TURNS = 7
LEFT_OUT = ("score-cam", "gradient", "integrated-gradients", "legrad", "grad-eclip")


def rate(film, folder, *options):
    command = [WHYCAM, "explain", film, "--json", folder / "lines.jsonl", "--force", "--threads", "1", *options]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return float(re.search(r"\(([\d.]+) a second\)", told)[1])


def main():
    listed = subprocess.run([WHYCAM, "methods"], check=True, capture_output=True, text=True).stdout
    methods = [line.split()[0] for line in listed.splitlines()[1:]]
    ways = {name: ("--method", name) for name in methods if name not in LEFT_OUT}
    ways["grad-cam, three classes"] = ("--class", "top3")
    found = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(TURNS):
            for name, options in ways.items():
                found[name].append(rate(sys.argv[1], Path(folder), *options))
    plain = statistics.median(found["grad-cam"])
    print("| method | frames a second | of Grad-CAM's time |\n| --- | --- | --- |")
    for name, rates in found.items():
        middle = statistics.median(rates)
        print(f"| {name} | {middle:.0f} | {plain / middle:.2f} |")


if __name__ == "__main__":
    main()

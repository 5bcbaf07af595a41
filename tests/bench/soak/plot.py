#!/usr/bin/env python3
"""Plots memory, threads and open files of a soak test over time, with the injected faults.

    make soak
    pip install matplotlib==3.11.1
    python3 tests/bench/soak/plot.py target/tmp
"""

import csv
import sys
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE


def rows(name):
    with open(folder / name, newline="") as file:
        return list(csv.DictReader(file))


samples, faults = rows("soak.csv"), rows("soak-faults.csv")
minutes = [float(row["seconds"]) / 60 for row in samples]
figure, panels = plt.subplots(3, sharex=True, figsize=(9, 7), height_ratios=[3, 1, 1], layout="constrained")
for panel, (column, unit) in zip(panels, {"mb": "resident MB", "threads": "threads", "files": "open files"}.items()):
    for process, name in {"live": "window on a stream", "folder": "folder, over and over"}.items():
        panel.plot(minutes, [float(row[f"{process}_{column}"]) for row in samples], label=name, linewidth=0.9)
    panel.set(ylabel=unit, ylim=(0, None))
    panel.grid(alpha=0.3)
heights = {what: at for at, what in enumerate(sorted({fault["what"] for fault in faults}))}
for what, height in heights.items():
    times = [float(fault["seconds"]) / 60 for fault in faults if fault["what"] == what]
    place = 1.02 + 0.04 * height
    panels[0].plot(times, [place] * len(times), "|", transform=panels[0].get_xaxis_transform(), clip_on=False, label=what)
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
panels[-1].set(xlabel="minutes", xlim=(0, minutes[-1]))
figure.savefig(HERE / "soak.png", dpi=100)

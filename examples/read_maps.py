#!/usr/bin/env python3
"""Reads the maps of a film: whycam explain film.mp4 --maps maps --maps-as npz --json film.jsonl"""
import json
import numpy as np

maps = np.load("maps/maps.npz")
for line, name in zip(map(json.loads, open("film.jsonl")), maps.files):
    row, column = np.unravel_index(maps[name].argmax(), maps[name].shape)
    print(f"{line['pts_us'] / 1e6:.2f} s: {line['label']}, hottest at row {row}, column {column}")

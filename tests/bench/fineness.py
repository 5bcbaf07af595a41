#!/usr/bin/env python3
"""How much of a map lies inside the object: photos of flowers, cut out as circles, on plain backgrounds.

    pip install target/wheels/whycam-*.whl pillow
    python tests/bench/fineness.py PHOTOS MODEL…

PHOTOS is a folder of class folders. Each photo becomes a circle of 64, 96 or 128 pixels at a random place on a grey, coloured
or noisy background of 256x256. Prints for each model and size the mean share of the map of the true class inside the circle,
next to the circle's share of the picture, which a map of no use would reach.
"""

import sys
from pathlib import Path

import numpy as np
import whycam
from PIL import Image

SIDE = 256
DIAMETERS = (64, 96, 128)


def composite(path, diameter, random):
    """The picture [h,w,3] and the mask [h,w] of the circle."""
    with Image.open(path) as photo:
        photo = photo.convert("RGB")
        side = min(photo.size)
        left, top = ((length - side) // 2 for length in photo.size)
        square = photo.crop((left, top, left + side, top + side)).resize((diameter, diameter), Image.Resampling.LANCZOS)
    kind = random.integers(3)
    background = np.full((SIDE, SIDE, 3), random.integers(40, 216, 3 if kind == 1 else 1), np.float64)
    if kind == 2:
        background += random.normal(0, 12, background.shape)
    picture = background.clip(0, 255).astype(np.uint8)
    x, y = random.integers(0, SIDE - diameter + 1, 2)
    rows, columns = np.mgrid[0:diameter, 0:diameter]
    inside = (rows - diameter / 2 + 0.5) ** 2 + (columns - diameter / 2 + 0.5) ** 2 <= (diameter / 2) ** 2
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + diameter, x : x + diameter] = inside
    picture[mask] = np.asarray(square)[inside]
    return picture, mask


def main():
    folder, models = Path(sys.argv[1]), sys.argv[2:]
    photos = [(path, folder.name) for folder in sorted(folder.iterdir()) if folder.is_dir() for path in sorted(folder.iterdir())]
    print(f"{'model':<40} {'cells':>7}" + "".join(f"  {diameter:>3} px" for diameter in DIAMETERS))
    for model in models:
        shares, cells = {diameter: [] for diameter in DIAMETERS}, ""
        explainers = {name: whycam.Explainer(model, classes=name) for name in {name for _, name in photos}}
        random = np.random.default_rng(1)
        for path, name in photos:
            for diameter in DIAMETERS:
                picture, mask = composite(path, diameter, random)
                explanation = explainers[name].explain(picture)
                cells = "x".join(map(str, explanation.map.shape))
                over = explanation.over_picture()
                if explanation.evidence:
                    shares[diameter].append(over[mask].sum() / over.sum())
        print(f"{model[-40:]:<40} {cells:>7}" + "".join(f"  {np.mean(values):.3f} " for values in shares.values()), flush=True)
    circle = [np.pi * (diameter / 2) ** 2 / SIDE**2 for diameter in DIAMETERS]
    print(f"{'the circle itself':<40} {'':>7}" + "".join(f"  {share:.3f} " for share in circle))


if __name__ == "__main__":
    main()

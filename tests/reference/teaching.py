#!/usr/bin/env python3
"""Writes what tests/teach.rs and src/teach compare with.

    pip install -r tests/reference/requirements.txt -r models/training/requirements.txt
    python tests/reference/teaching.py

Writes tests/reference/teaching/regression.json: examples of three classes, and the probabilities that scikit-learn's
LogisticRegression gives them with balanced classes; and objects.json: the largest logits of the published
EfficientNet-Lite2 in PyTorch for an input that a formula gives.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parents[2] / "models/training"))
from objects import Objects  # noqa: E402

OUT = Path(__file__).with_suffix("")
PENALTIES = [1.0, 0.1, 0.01]


def regression():
    """Examples, and probabilities by the penalty on weights of features with root mean square 1."""
    draw = np.random.default_rng(1)
    counts, length = [12, 30, 7], 6
    centres = draw.normal(size=(len(counts), length))
    classes = np.repeat(np.arange(len(counts)), counts)
    features = (centres[classes] + draw.normal(size=(len(classes), length)) + 3).round(3)
    centred = features - features.mean(0)
    scaled = centred / np.sqrt((centred**2).mean())
    found = []
    for penalty in PENALTIES:
        # scikit-learn's loss is the sum over examples, and C its weight against half the squares.
        model = LogisticRegression(
            C=1 / (penalty * len(classes)), class_weight="balanced", tol=1e-10, max_iter=10_000
        )
        found.append(model.fit(scaled, classes).predict_proba(scaled).round(6).tolist())
    return {
        "features": features.tolist(),
        "classes": classes.tolist(),
        "penalties": PENALTIES,
        "probabilities": found,
    }


def objects():
    """The ten largest logits, as pairs of class and logit."""
    channel, row, column = np.ogrid[:3, :260, :260]
    waves = np.sin(0.02 * (channel + 1) * column + 0.05 * row).astype(np.float32)
    with torch.no_grad():
        logits = Objects(2).eval()(torch.from_numpy(waves[None]))[0].numpy()
    return [[int(index), round(float(logits[index]), 4)] for index in np.argsort(-logits)[:10]]


def main():
    OUT.mkdir(exist_ok=True)
    (OUT / "regression.json").write_text(json.dumps(regression()) + "\n")
    (OUT / "objects.json").write_text(json.dumps(objects()) + "\n")


if __name__ == "__main__":
    main()

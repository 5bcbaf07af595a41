#!/usr/bin/env python3
"""Writes values of the measures in src/evaluate by published implementations, for tests/evaluate.rs.

    pip install -r tests/reference/requirements.txt
    python tests/reference/metrics.py

Uses fixed pictures and maps, and a classifier that is small enough to write twice: the logits of a picture
[3,24,24] are a matrix times its means over 6x6 squares. Writes tests/reference/metrics/{weights,picture,map}.npy
and values.json.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from openvino_xai.metrics import ADCC, InsertionDeletionAUC
from pytorch_grad_cam.metrics.cam_mult_image import DropInConfidence, IncreaseInConfidence
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr, spearmanr
from torchmetrics.functional.classification import multiclass_calibration_error

OUT = Path(__file__).with_suffix("")
SIDE, SQUARE, CLASSES, CLASS = 24, 6, 3, 1
SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
STEPS = 32


class Classifier(torch.nn.Module):
    """[N,3,24,24] to probabilities [N,3]."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.from_numpy(weights)

    def forward(self, pictures):
        return (F.avg_pool2d(pictures, SQUARE).flatten(1) @ self.weights.T).softmax(1)


def unit(values):
    return (values - values.min()) / (values.max() - values.min())


def explain(picture):
    """A substitute for a map: the brightness of each pixel. [3,h,w] to [h,w]"""
    return unit(picture.sum(0))


class Deletion(InsertionDeletionAUC):
    def __init__(self, predict):
        self.model_predict = predict


class Coherent(ADCC):
    """Uses the substitute map instead of the library's explainer."""

    def __init__(self, predict):
        self.model_predict = predict
        self.black_box_kwargs = {}

        def explainer(picture, targets, **_):
            return type("Explanation", (), {"saliency_map": {targets: explain(picture.transpose(2, 0, 1)) * 255}})

        self.explainer = explainer


def insertion_curve(classifier, picture, cam):
    """As in the code of RISE: restores pixels into a copy blurred by its `gkern(11, 5)`."""
    delta = np.zeros((11, 11))
    delta[5, 5] = 1
    kernel = torch.from_numpy(gaussian_filter(delta, 5).astype(np.float32))
    blurred = F.conv2d(torch.from_numpy(picture)[:, None], kernel[None, None], padding=5)[:, 0].numpy()
    order = np.argsort(-cam.flatten(), kind="stable")
    curve = []
    for step in range(STEPS + 1):
        shown = blurred.copy().reshape(3, -1)
        chosen = order[: len(order) * step // STEPS]
        shown[:, chosen] = picture.reshape(3, -1)[:, chosen]
        curve.append(classifier(torch.from_numpy(shown.reshape(1, 3, SIDE, SIDE)))[0, CLASS].item())
    return curve


def road(classifier, picture, cam, most_first):
    """The mean change of the probability over all shares, with pixels imputed without noise."""
    order = np.argsort(-cam.flatten() if most_first else cam.flatten(), kind="stable")
    before = classifier(torch.from_numpy(picture)[None])[0, CLASS].item()
    changes = []
    for share in SHARES:
        kept = np.ones(SIDE * SIDE, np.float32)
        kept[order[: round(SIDE * SIDE * share)]] = 0
        imputed = NoisyLinearImputer(noise=0)(torch.from_numpy(picture), torch.from_numpy(kept.reshape(SIDE, SIDE)))
        changes.append(classifier(imputed[None])[0, CLASS].item() - before)
    return float(np.mean(changes))


def main():
    random = np.random.default_rng(5)
    weights = random.normal(0, 0.5, (CLASSES, 3 * (SIDE // SQUARE) ** 2)).astype(np.float32)
    picture = random.normal(0, 1, (3, SIDE, SIDE)).astype(np.float32)
    cam = unit(gaussian_filter(random.normal(0, 1, (SIDE, SIDE)), 2)).astype(np.float32)
    classifier = Classifier(weights)
    predict = lambda shown: classifier(torch.from_numpy(np.ascontiguousarray(shown.transpose(2, 0, 1)))[None])[0].numpy()
    rows = picture.transpose(1, 2, 0)
    batch, target = torch.from_numpy(picture)[None], [ClassifierOutputTarget(CLASS)]
    drop = DropInConfidence()(batch, cam[None], target, classifier)[0]
    before = predict(rows)[CLASS]
    adcc = Coherent(predict)(cam, CLASS, rows)
    confidences = random.uniform(0.51, 1, 200).astype(np.float32)
    right = random.uniform(0, 1, 200) < confidences**2
    spread = torch.from_numpy(np.stack([confidences, 1 - confidences], 1))
    other = unit(cam + 0.3 * random.normal(0, 1, cam.shape).astype(np.float32)).round(1)
    OUT.mkdir(exist_ok=True)
    for name, values in {"weights": weights, "picture": picture, "map": cam, "other": other}.items():
        np.save(OUT / f"{name}.npy", values.astype(np.float32))
    values = {
        "drop": float(drop / before),
        "increased": bool(IncreaseInConfidence()(batch, cam[None], target, classifier)[0]),
        "deletion": float(Deletion(predict)(cam, CLASS, rows, steps=STEPS)["deletion"]),
        "insertion": float(np.trapezoid(insertion_curve(classifier, picture, cam), dx=1 / STEPS)),
        "road_most_first": road(classifier, picture, cam, True),
        "road_least_first": road(classifier, picture, cam, False),
        "adcc": {name: float(value) for name, value in adcc.items()},
        "pearson": float(pearsonr(cam.flatten(), other.flatten())[0]),
        "spearman": float(spearmanr(cam.flatten(), other.flatten())[0]),
        "confidences": confidences.tolist(),
        "right": right.tolist(),
        "calibration_error": multiclass_calibration_error(
            spread, torch.from_numpy(np.where(right, 0, 1)), 2, 15
        ).item(),
    }
    (OUT / "values.json").write_text(json.dumps(values, indent=1) + "\n")
    print({name: value for name, value in values.items() if name not in {"confidences", "right"}})


if __name__ == "__main__":
    main()

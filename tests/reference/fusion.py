#!/usr/bin/env python3
"""Writes the fused maps of two layers for tests/cam_methods.rs, from the maps of single layers that methods.py wrote.

    python tests/reference/fusion.py

RefineCAM (Domeniconi et al. 2026) is the product of the maps by Grad-CAM++, each scaled to 0..=1; LayerCAM (Jiang et al.
2021, section III-C) is the largest of its maps, each divided by its largest value, where early layers become tanh(2 M).
Writes tests/reference/methods/NET.refine-cam.npy and NET.lifted-layer-cam.npy.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

METHODS = Path(__file__).with_name("methods")
NETS = ["resnet", "vgg", "squeezenet", "mobilenet3", "efficientnet", "regnet", "convnext"]


def maps(net, method):
    """The maps of the default and of an early layer, [1,1,h,w] each."""
    files = [METHODS / f"{net}.{layer}.{method}.npy" for layer in ("default", "early")]
    return [torch.from_numpy(np.load(file))[None, None] for file in files]


def enlarged(map, like):
    return F.interpolate(map, like.shape[2:], mode="bilinear", align_corners=False)


for net in NETS:
    late, early = maps(net, "grad-cam++")
    scaled = [(map - map.min()) / (map.max() - map.min()).clamp(min=1e-12) for map in (late, early)]
    np.save(METHODS / f"{net}.refine-cam.npy", (enlarged(scaled[0], early) * scaled[1])[0, 0].numpy())
    late, early = (map / map.max().clamp(min=1e-12) for map in maps(net, "layer-cam"))
    if early.shape[2] >= 4 * late.shape[2]:
        early = torch.tanh(2 * early)
    np.save(METHODS / f"{net}.lifted-layer-cam.npy", torch.maximum(enlarged(late, early), early)[0, 0].numpy())
    print(net, tuple(late.shape[2:]), tuple(early.shape[2:]))

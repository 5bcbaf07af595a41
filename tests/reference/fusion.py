#!/usr/bin/env python3
"""Writes the fused maps of two layers for tests/cam_methods.rs, from the maps of single layers that methods.py wrote.

    python tests/reference/fusion.py

RefineCAM (Domeniconi et al. 2026) is the product of the maps by Grad-CAM++, each scaled to 0..=1; LayerCAM (Jiang et al.
2021, section III-C) is the largest of its maps, each divided by its largest value, where early layers become tanh(2 M).
The papers enlarge the late map as if its cells lay evenly over the early one. Here each lies where its window is centred
(Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016), which is the same where no padding and no
odd window shifts it, as in vgg and convnext.
Writes tests/reference/methods/NET.refine-cam.npy and NET.lifted-layer-cam.npy.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

METHODS = Path(__file__).with_name("methods")
# Kernel, stride and padding of what shrinks the map between the two layers.
SHRINKING = {
    "resnet": [(3, 2, 1)] * 3,
    "vgg": [(2, 2, 0)] * 3,
    "squeezenet": [(3, 2, 0)] * 2,
    "mobilenet3": [(5, 2, 2)] * 2,
    "efficientnet": [(5, 2, 2), (3, 2, 1), (5, 2, 2)],
    "regnet": [(3, 2, 1)] * 3,
    "convnext": [(2, 2, 0)] * 3,
}


def maps(net, method):
    """The maps of the default and of an early layer, [1,1,h,w] each."""
    files = [METHODS / f"{net}.{layer}.{method}.npy" for layer in ("default", "early")]
    return [torch.from_numpy(np.load(file))[None, None] for file in files]


def enlarged(map, like, shrinking):
    """A late map at each cell of an early one, interpolated between the centres of its cells."""
    first, stride = 0.0, 1
    for kernel, step, padding in shrinking:
        first, stride = first + ((kernel - 1) / 2 - padding) * stride, stride * step
    for early, late in zip(like.shape[2:], map.shape[2:]):
        for kernel, step, padding in shrinking:
            early = (early + 2 * padding - kernel) // step + 1
        assert early == late > 1
    at = [2 * (torch.arange(early) - first) / stride / (late - 1) - 1 for early, late in zip(like.shape[2:], map.shape[2:])]
    rows, columns = torch.meshgrid(*at, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1)[None]
    found = F.grid_sample(map, grid, mode="bilinear", padding_mode="border", align_corners=True)
    if all(kernel == step and padding == 0 for kernel, step, padding in shrinking):
        torch.testing.assert_close(found, F.interpolate(map, like.shape[2:], mode="bilinear", align_corners=False))
    return found


for net, shrinking in SHRINKING.items():
    late, early = maps(net, "grad-cam++")
    scaled = [(map - map.min()) / (map.max() - map.min()).clamp(min=1e-12) for map in (late, early)]
    np.save(METHODS / f"{net}.refine-cam.npy", (enlarged(scaled[0], early, shrinking) * scaled[1])[0, 0].numpy())
    late, early = (map / map.max().clamp(min=1e-12) for map in maps(net, "layer-cam"))
    if early.shape[2] >= 4 * late.shape[2]:
        early = torch.tanh(2 * early)
    np.save(METHODS / f"{net}.lifted-layer-cam.npy", torch.maximum(enlarged(late, early, shrinking), early)[0, 0].numpy())
    print(net, tuple(late.shape[2:]), tuple(early.shape[2:]))

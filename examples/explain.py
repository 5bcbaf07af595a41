#!/usr/bin/env python3
"""Runs an augmented model in Python's onnxruntime: whycam prepare flowers -o flowers.onnx --cam"""
import json, sys
import numpy as np, onnxruntime
from PIL import Image

model, picture, out = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
about = {key: json.loads(session.get_modelmeta().custom_metadata_map[f"whycam.{key}"]) for key in ("labels", "preprocessing", "place")}
spec = about["preprocessing"]
pixels = np.asarray(Image.open(picture).convert("RGB").resize((spec["width"], spec["height"]), Image.Resampling.BILINEAR))
tensor = ((pixels * np.float32(spec["scale"]) - np.float32(spec["mean"])) / np.float32(spec["std"])).transpose(2, 0, 1)[None]
logits, cam = session.run(["logits", "cam"], {session.get_inputs()[0].name: tensor, "class_index": np.array([-1])})
print(about["labels"][logits[0].argmax()])
np.save(out, cam[0])
# Over the input: cell i has its centre at first + i * stride pixels from the edge.
(y, x), (down, across) = about["place"]["first"], about["place"]["stride"]
over = Image.fromarray(cam[0]).transform(pixels.shape[1::-1], Image.Transform.AFFINE, (1 / across, 0, 0.5 - x / across, 0, 1 / down, 0.5 - y / down), Image.Resampling.BILINEAR)
np.save(out.replace(".npy", ".over.npy"), np.asarray(over))

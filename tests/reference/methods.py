#!/usr/bin/env python3
"""Writes maps of every method for tests/cam_methods.rs. pytorch-grad-cam makes them where it follows the paper;
otherwise the paper's formula in PyTorch does. Run models.py first: the nets are the same.

    pip install -r tests/reference/requirements.txt
    python tests/reference/methods.py [METHOD...]

Writes for these methods, or all, tests/reference/methods/NET.LAYER.METHOD.npy [h,w] for two layers of each net,
and for the methods at the input NET.METHOD.npy. Says how far torchcam is from each map that it has too.
"""

import copy
import sys
import warnings
from pathlib import Path

import numpy as np
import pytorch_grad_cam as peers
import torch
import torchcam.methods as others
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

from families import families
from models import OUT as MODELS, randomise

OUT = Path(__file__).with_suffix("")
NETS = ["resnet", "vgg", "squeezenet", "mobilenet3", "efficientnet", "regnet", "convnext"]


def by_peer(peer, net, layer, picture, label):
    """pytorch-grad-cam's map before enlarging and normalising."""
    # A copy, because the library leaves hooks in the net.
    name = next(name for name, module in net.named_modules() if module is layer)
    net = copy.deepcopy(net)
    with peer(model=net, target_layers=[dict(net.named_modules())[name]]) as cam:
        kept, inner = [], cam.get_cam_image
        cam.get_cam_image = lambda *args, **kwargs: kept.append(inner(*args, **kwargs)) or kept[-1]
        cam(input_tensor=picture.clone().requires_grad_(), targets=[ClassifierOutputTarget(label)])
    return np.maximum(np.asarray(kept[0])[0], 0)


def replaced(net, layer, picture, values):
    """The logits after a layer's output is replaced by `values` [B,C,h,w]."""
    found = []
    for part in values.split(32):
        hook = layer.register_forward_hook(lambda *_: part)
        with torch.no_grad():
            found.append(net(picture.expand(len(part), -1, -1, -1)))
        hook.remove()
    return torch.cat(found)


def activations_and_gradient(net, layer, picture, score):
    kept = []
    hook = layer.register_forward_hook(lambda _, __, output: kept.append(output))
    logits = net(picture)[0]
    hook.remove()
    (gradient,) = torch.autograd.grad(score(logits), kept[0])
    return kept[0][0].detach(), gradient[0]


def rectified(weights, activations):
    return torch.relu((weights[:, None, None] * activations).sum(0)).numpy()


def plus_plus(net, layer, picture, label):
    activations, gradient = activations_and_gradient(net, layer, picture, lambda logits: logits[label])
    a, g = activations.double(), gradient.double()
    shares = g**2 / (2 * g**2 + g**3 * a.sum((1, 2), keepdim=True))
    return rectified((torch.where(g > 0, shares, 0) * g).sum((1, 2)).float(), activations)


def finer(net, layer, picture, label):
    def score(logits):
        apart = (logits - logits[label]).abs().detach()
        apart[label] = torch.inf
        return logits[label] - logits[apart.argsort()[:3]].mean()

    activations, gradient = activations_and_gradient(net, layer, picture, score)
    return rectified(gradient.mean((1, 2)), activations)


def shapley(net, layer, picture, label):
    try:
        return by_peer(peers.ShapleyCAM, net, layer, picture, label)
    except RuntimeError:
        # PyTorch has no second derivative for some op here, or everything is linear. The Hessian times the
        # activations is the change of the gradient along them.
        name = next(name for name, module in net.named_modules() if module is layer)
        net, picture = copy.deepcopy(net).double(), picture.double()
        layer = dict(net.named_modules())[name]
        activations, gradient = activations_and_gradient(net, layer, picture, lambda logits: logits[label])

        def gradient_at(values):
            values = values[None].clone().requires_grad_()
            hook = layer.register_forward_hook(lambda *_: values)
            (found,) = torch.autograd.grad(net(picture)[0, label], values)
            hook.remove()
            return found[0]

        step = 1e-5
        bend = (gradient_at(activations * (1 + step)) - gradient_at(activations * (1 - step))) / (2 * step)
        return rectified((gradient - 0.5 * bend).mean((1, 2)), activations)


def ablation(net, layer, picture, label):
    activations, _ = activations_and_gradient(net, layer, picture, lambda logits: logits[label])
    c = len(activations)
    without = activations * (1 - torch.eye(c))[:, :, None, None]
    whole = net(picture)[0, label].detach()
    weights = (whole - replaced(net, layer, picture, without)[:, label]) / whole.abs()
    return rectified(weights, activations)


def recipro(net, layer, picture, label):
    activations, _ = activations_and_gradient(net, layer, picture, lambda logits: logits[label])
    _, h, w = activations.shape
    gauss = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    masks = torch.zeros(h * w, 1, h + 2, w + 2)
    for place in range(h * w):
        y, x = divmod(place, w)
        masks[place, 0, y : y + 3, x : x + 3] = gauss
    logits = replaced(net, layer, picture, activations * masks[..., 1:-1, 1:-1])
    found = logits.softmax(1)[:, label].reshape(h, w)
    return (found - found.min()).numpy()


def score_cam(net, layer, picture, label):
    activations, _ = activations_and_gradient(net, layer, picture, lambda logits: logits[label])
    masks = torch.nn.functional.interpolate(activations[:, None], picture.shape[2:], mode="bilinear")
    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
    with torch.no_grad():
        scores = net(picture * (masks - low) / (high - low + 1e-8))[:, label]
    return rectified(scores.softmax(0), activations)


def eigen(net, layer, picture, label):
    activations, _ = activations_and_gradient(net, layer, picture, lambda logits: logits[label])
    matrix = activations.flatten(1).T.double()
    _, _, vectors = torch.linalg.svd(matrix, full_matrices=False)
    places = matrix @ vectors[0]
    return torch.relu(places * (places * matrix.sum(1)).sum().sign()).reshape(activations.shape[1:]).float().numpy()


def eigen_grad(net, layer, picture, label):
    activations, gradient = activations_and_gradient(net, layer, picture, lambda logits: logits[label])
    product = (activations * gradient).numpy()
    places = get_2d_projection(product[None].astype(np.float64))[0]
    along = (places * (product.sum(0) - product.sum(0).mean())).sum()
    return np.maximum(places * np.sign(along), 0).astype(np.float32)


def input_gradient(net, picture, label):
    picture = picture.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(picture)[0, label], picture)
    return gradient[0]


def integrated(net, picture, label):
    steps = [input_gradient(net, picture * (step + 0.5) / 32, label) for step in range(32)]
    return torch.relu((torch.stack(steps).mean(0) * picture[0]).sum(0)).numpy()


PEERS = {
    "grad-cam": peers.GradCAM,
    "hires-cam": peers.HiResCAM,
    "layer-cam": peers.LayerCAM,
    "x-grad-cam": peers.XGradCAM,
    "grad-cam-elementwise": peers.GradCAMElementWise,
}
FORMULAS = {
    "grad-cam++": plus_plus,
    "shapley-cam": shapley,
    "finer-cam": finer,
    "ablation-cam": ablation,
    "recipro-cam": recipro,
    "score-cam": score_cam,
    "eigen-cam": eigen,
    "eigen-grad-cam": eigen_grad,
}
AT_INPUT = {
    "gradient": lambda net, picture, label: input_gradient(net, picture, label).abs().amax(0).numpy(),
    "integrated-gradients": integrated,
}
OTHERS = {
    "grad-cam": others.GradCAM,
    "grad-cam++": others.GradCAMpp,
    "layer-cam": others.LayerCAM,
    "x-grad-cam": others.XGradCAM,
    "score-cam": others.ScoreCAM,
}


def cosine(a, b):
    return float((a * b).sum() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30))


def main():
    warnings.simplefilter("ignore")
    known = {*PEERS, *FORMULAS, *AT_INPUT}
    asked = set(sys.argv[1:]) or known
    if unknown := asked - known:
        sys.exit(f"no reference is known for {', '.join(sorted(unknown))}; write one into FORMULAS")

    def asked_of(table):
        return [(name, make) for name, make in table.items() if name in asked]

    OUT.mkdir(exist_ok=True)
    whole = torch.from_numpy(np.load(MODELS / "input.npy")).float() / 255
    for number, family in enumerate(families()):
        if family.name not in NETS:
            continue
        net = family.net.eval()
        for module in net.modules():
            if isinstance(module, torch.nn.ReLU):
                module.inplace = False
        randomise(net, 200 + number)
        picture = whole[..., : family.size, : family.size]
        label = int(net(picture)[0].argmax())
        for which in ("default", "early"):
            layer = dict(net.named_modules())[getattr(family, which)]
            found = {name: by_peer(peer, net, layer, picture, label) for name, peer in asked_of(PEERS)}
            found |= {name: formula(net, layer, picture, label) for name, formula in asked_of(FORMULAS)}
            for name, values in found.items():
                np.save(OUT / f"{family.name}.{which}.{name}.npy", values.astype(np.float32))
            apart = []
            for name, peer in asked_of(OTHERS):
                with peer(net, layer, input_shape=tuple(picture.shape[1:])) as extractor:
                    scores = net(picture.clone().requires_grad_())
                    other = extractor(label, scores, normalized=False)[0][0].detach().numpy()
                apart.append(f"{name} {cosine(np.maximum(other, 0), found[name]):.4f}")
            print(f"{family.name:12} {which:8} torchcam: {', '.join(apart)}", flush=True)
        for name, formula in asked_of(AT_INPUT):
            np.save(OUT / f"{family.name}.{name}.npy", formula(net, picture, label))


if __name__ == "__main__":
    main()

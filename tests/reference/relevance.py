#!/usr/bin/env python3
"""Writes layer-wise relevance for tests/relevance.rs: of the nets of convolutions by zennit, of a vision transformer by the
rules of lxt (AttnLRP). Run models.py first: the nets are the same.

    pip install -r tests/reference/requirements.txt
    pip install zennit==0.5.1 lxt==2.1 --no-deps
    python tests/reference/relevance.py

Writes tests/reference/methods/NET.METHOD.npy [h,w], the relevance of each pixel, summed over its colours, for the predicted
class's logit; and NET_without_biases.onnx, whose relevance adds up to the logit.
"""

import importlib
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import torch
from timm.layers import Attention
from torch import nn
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import LayerMapComposite
from zennit.rules import Epsilon, Gamma, Norm, Pass, ZPlus
from zennit.torchvision import ResNetCanonizer
from zennit.types import Activation, AvgPool, Convolution, Linear

from families import families
from models import OUT as MODELS, export, randomise

OUT = Path(__file__).with_name("methods")
RULES = {"lrp-epsilon": Epsilon, "lrp-z-plus": ZPlus, "lrp-gamma": partial(Gamma, gamma=0.25)}


def by_zennit(net, picture, label, rule):
    layers = [(Activation, Pass()), (Convolution, rule()), (Linear, Epsilon()), (AvgPool, Norm())]
    canonizers = [ResNetCanonizer() if hasattr(net, "layer4") else SequentialMergeBatchNorm()]
    composite = LayerMapComposite(layers + zennit_sums(), canonizers=canonizers)

    def seed(logits):
        return logits * torch.eye(logits.shape[1])[[label]]

    with Gradient(net, composite) as attributor:
        _, relevance = attributor(picture.clone(), seed)
    return relevance[0].sum(0).numpy()


def zennit_sums():
    from zennit.layer import Sum

    return [(Sum, Norm())]


def rules_of_lxt():
    """The modules `rules` and `patches` of lxt; the rest of it imports models of older transformers."""
    root = Path(importlib.util.find_spec("lxt").origin).parent / "efficient"
    package = types.ModuleType("lxt.efficient")
    package.__path__ = [str(root)]
    sys.modules["lxt.efficient"] = package
    return importlib.import_module("lxt.efficient.rules"), importlib.import_module("lxt.efficient.patches")


def by_lxt(net, picture, label):
    rules, patches = rules_of_lxt()

    def attention(self, x, *_, **__):
        n, tokens, c = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = rules.divide_gradient(q, 4), rules.divide_gradient(k, 4), rules.divide_gradient(v, 2)
        weights = ((q * self.scale) @ k.transpose(-2, -1)).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, tokens, c))

    for module in net.modules():
        if isinstance(module, Attention):
            module.forward = types.MethodType(attention, module)
        elif isinstance(module, nn.LayerNorm):
            module.forward = types.MethodType(patches.layer_norm_forward, module)
        elif isinstance(module, nn.GELU):
            module.original_forward = module.forward
            module.forward = types.MethodType(patches.non_linear_forward, module)
    picture = picture.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(picture)[0, label], picture)
    return (picture * gradient)[0].sum(0).detach().numpy()


def without_biases(net):
    """The net with every bias 0, also those that batch normalisation amounts to: all relevance then reaches the picture."""
    for module in net.modules():
        if getattr(module, "bias", None) is not None:
            module.bias.data.zero_()
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.zero_()
    return net


def main():
    whole = torch.from_numpy(np.load(MODELS / "input.npy")).float().div(255)
    for number, family in enumerate(families()):
        if family.name not in ("resnet", "vgg", "vit_class_token"):
            continue
        net = family.net.eval()
        for module in net.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        randomise(net, 200 + number)
        picture = whole[..., : family.size, : family.size]
        logits = net(picture).detach()
        label = logits.argmax().item()
        if family.name == "vit_class_token":
            maps = {"lrp-epsilon": by_lxt(net, picture, label)}
        else:
            maps = {name: by_zennit(net, picture, label, rule) for name, rule in RULES.items()}
        if family.name in ("resnet", "vgg"):
            export(without_biases(net), picture, OUT / f"{family.name}_without_biases.onnx", "legacy")
            np.save(OUT / f"{family.name}_without_biases.logit.npy", net(picture).detach()[0].max().numpy())
        for name, relevance in maps.items():
            np.save(OUT / f"{family.name}.{name}.npy", relevance.astype(np.float32))
            print(f"{family.name:<16} {name:<12} logit {logits[0, label]:.4f}, sum of the relevance {relevance.sum():.4f}")


if __name__ == "__main__":
    main()

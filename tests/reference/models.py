#!/usr/bin/env python3
"""Small seeded nets of many families, and autograd's gradients in them, for tests/grad_models.rs.

    pip install -r tests/reference/requirements.txt
    python tests/reference/models.py

Writes tests/reference/models/: NAME.onnx, and for two layers of each, the one that whycam must choose
and an early one, NAME.default.npy and NAME.early.npy: the gradient of the predicted class's logit.
layers.txt has a line a net: name, tensor of the default layer, tensor of the early one. input.npy is
the picture of all.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn

OUT = Path(__file__).with_suffix("")
CLASSES = 6


def conv(c_in, c_out, kernel=3, stride=1, groups=1, activation=nn.ReLU):
    layers = [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


def head(channels):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


class Residual(nn.Module):
    """ResNet's basic block; with groups, ResNeXt's."""

    def __init__(self, c_in, c_out, stride=1, groups=1):
        super().__init__()
        self.one, self.two = conv(c_in, c_out, stride=stride), conv(c_out, c_out, groups=groups, activation=None)
        same = stride == 1 and c_in == c_out
        self.short = nn.Identity() if same else conv(c_in, c_out, 1, stride, activation=None)

    def forward(self, x):
        return F.relu(self.two(self.one(x)) + self.short(x))


class SqueezeExcite(nn.Module):
    def __init__(self, channels, gate):
        super().__init__()
        self.down, self.up, self.gate = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1), gate()

    def forward(self, x):
        return x * self.gate(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Inverted(nn.Module):
    """MobileNetV2's inverted residual; with a gate MobileNetV3's and EfficientNet's."""

    def __init__(self, channels, activation, gate=None):
        super().__init__()
        wide = 3 * channels
        self.body = nn.Sequential(
            conv(channels, wide, 1, activation=activation),
            conv(wide, wide, groups=wide, activation=activation),
            SqueezeExcite(wide, gate) if gate else nn.Identity(),
            conv(wide, channels, 1, activation=None),
        )

    def forward(self, x):
        return x + self.body(x)


class Dense(nn.Module):
    """DenseNet's layer: its input goes on beside its output."""

    def __init__(self, channels, growth):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, growth, 3, padding=1)

    def forward(self, x):
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


class Fire(nn.Module):
    """SqueezeNet's module."""

    def __init__(self, c_in, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(c_in, squeezed, 1)
        self.one, self.three = nn.Conv2d(squeezed, expanded, 1), nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


class Shuffle(nn.Module):
    """ShuffleNetV2's unit: one half goes on as it is, then the channels are shuffled."""

    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(
            conv(half, half, 1), conv(half, half, groups=half, activation=None), conv(half, half, 1)
        )

    def forward(self, x):
        kept, worked = x.chunk(2, 1)
        x = torch.cat([kept, self.body(worked)], 1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Inception(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.one, self.three = conv(channels, 4, 1), nn.Sequential(conv(channels, 4, 1), conv(4, 6))
        self.pooled = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv(channels, 4, 1))
        self.highest = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(channels, 4, 1))

    def forward(self, x):
        return torch.cat([self.one(x), self.three(x), self.pooled(x), self.highest(x)], 1)


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.depth = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.wide, self.narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.5))

    def forward(self, x):
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        return x + self.scale * self.narrow(F.gelu(self.wide(y))).permute(0, 3, 1, 2)


def nets():
    """Name to net, its layer that whycam must choose, and an early one, by module name."""
    yield "resnet", nn.Sequential(
        conv(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1), Residual(8, 8), Residual(8, 16, 2), head(16)
    ), "3", "1"
    yield "resnext", nn.Sequential(
        conv(3, 8, 3, 2), Residual(8, 8, groups=4), Residual(8, 16, 2, 4), head(16)
    ), "2", "0"
    yield "vgg", nn.Sequential(
        conv(3, 8),
        nn.MaxPool2d(2),
        conv(8, 12),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12 * 64, 16),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(16, CLASSES),
    ), "2", "0"
    yield "alexnet", nn.Sequential(
        nn.Conv2d(3, 8, 5, 2, 2),
        nn.ReLU(),
        nn.Dropout(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 12, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 49, CLASSES),
    ), "5", "0"
    yield "mobilenet2", nn.Sequential(
        conv(3, 8, 3, 2, activation=nn.ReLU6), Inverted(8, nn.ReLU6), conv(8, 24, 1, activation=nn.ReLU6), head(24)
    ), "2", "0"
    yield "mobilenet3", nn.Sequential(
        conv(3, 8, 3, 2, activation=nn.Hardswish),
        Inverted(8, nn.Hardswish, nn.Hardsigmoid),
        conv(8, 24, 1, activation=nn.Hardswish),
        head(24),
    ), "2", "0"
    yield "efficientnet", nn.Sequential(
        conv(3, 8, 3, 2, activation=nn.SiLU),
        Inverted(8, nn.SiLU, nn.Sigmoid),
        conv(8, 24, 1, activation=nn.SiLU),
        head(24),
    ), "2", "0"
    yield "densenet", nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        Dense(8, 4),
        Dense(12, 4),
        conv(16, 8, 1),
        nn.AvgPool2d(2),
        Dense(8, 4),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        head(12),
    ), "7", "0"
    yield "squeezenet", nn.Sequential(
        nn.Conv2d(3, 8, 3, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(8, 4, 8),
        nn.Conv2d(16, CLASSES, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ), "5", "1"
    yield "shufflenet", nn.Sequential(conv(3, 8, 3, 2), Shuffle(8), Shuffle(8), conv(8, 16, 1), head(16)), "3", "0"
    yield "inception", nn.Sequential(conv(3, 8, 3, 2), Inception(8), Inception(18), head(18)), "2", "0"
    yield "convnext", nn.Sequential(
        nn.Conv2d(3, 8, 4, 4),
        ConvNeXtBlock(8),
        ConvNeXtBlock(8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(8),
        nn.Linear(8, CLASSES),
    ), "2", "0"
    yield "nin_prelu", nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.PReLU(8),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.InstanceNorm2d(12, affine=True),
        nn.ELU(),
        head(12),
    ), "5", "0"
    yield "group_norm", nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.GroupNorm(2, 8),
        nn.Mish(),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.GroupNorm(3, 12),
        nn.Softplus(),
        head(12),
    ), "5", "0"


def named_like(path, picture, wanted):
    """The last tensor of an ONNX file that has the wanted values."""
    model = onnx.load(path)
    tensors = [output for node in model.graph.node for output in node.output]
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in tensors if t not in known)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    values = dict(zip(names, session.run(None, {"image": picture.numpy()})))
    found = [
        n
        for n in tensors
        if n in values
        and values[n].shape == wanted.shape
        and np.allclose(values[n], wanted, atol=1e-4 * np.abs(wanted).max())
    ]
    assert found, f"{path}: no tensor has the values"
    return found


def main():
    OUT.mkdir(exist_ok=True)
    torch.manual_seed(7)
    picture = torch.rand(1, 3, 32, 32)
    np.save(OUT / "input.npy", picture.numpy())
    lines = []
    for number, (name, net, default, early) in enumerate(nets()):
        torch.manual_seed(100 + number)
        for module in net.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, 0.0, 0.2)
                nn.init.uniform_(module.running_var, 0.6, 1.4)
                nn.init.uniform_(module.weight, 0.6, 1.4)
                nn.init.normal_(module.bias, 0.2, 0.2)
        net.eval()
        kept = {}
        modules = dict(net.named_modules())
        for layer in (default, early):
            modules[layer].register_forward_hook(lambda _, __, output, layer=layer: kept.__setitem__(layer, output))
        path = OUT / f"{name}.onnx"
        torch.onnx.export(
            nn.Sequential(*net, nn.Softmax(1)).eval(),
            (picture,),
            path,
            input_names=["image"],
            output_names=["probabilities"],
            opset_version=18,
            dynamo=False,
        )
        logits = net(picture)[0]
        names = []
        for kind, layer in (("default", default), ("early", early)):
            (gradient,) = torch.autograd.grad(logits[logits.argmax()], kept[layer], retain_graph=True)
            np.save(OUT / f"{name}.{kind}.npy", gradient.numpy())
            found = named_like(path, picture, kept[layer].detach().numpy())
            names.append(found[0] if kind == "default" else found[-1])
        lines.append(" ".join([name, *names]))
        print(lines[-1])
    (OUT / "layers.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

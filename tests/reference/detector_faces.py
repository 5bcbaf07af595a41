"""Tiny nets with the output layouts of face detectors, for detectors.py: see detector_nets.py."""

import torch
from torch import nn
from torchvision.ops import box_convert

from detector_nets import WIDTHS, Backbone, Dense, cells, set_bias


class Ssd(Dense):
    """A net whose heads read the backbone's tensors."""

    act, labels = nn.ReLU, 1
    heads, best_level = (3, 2, 2), 2

    def make_body(self):
        self.backbone = Backbone(self.act, self.widths)

    def class_layers(self):
        return [(layer, slice(None)) for layer in self.cls]

    def make_heads(self):
        make = lambda columns: nn.ModuleList(
            nn.Conv2d(c, n * columns, 3, 1, 1) for c, n in zip(self.widths, self.heads)
        )
        self.cls, self.box = make(self.columns[0]), make(self.columns[1])
        places = [cells(self.size, [s], 0.5, n) for s, n in zip(self.strides, self.heads)]
        self.places, self.steps = (torch.cat([p[i] for p in places]) for i in (0, 1))
        self.levels = torch.cat([torch.full((len(p[1]),), level) for level, p in enumerate(places)])

    def rows(self, heads, levels, columns):
        rows = [h(p).permute(0, 2, 3, 1).reshape(1, -1, columns) for h, p in zip(heads, levels)]
        return torch.cat(rows, 1)


class UltraFace(Ssd):
    """`scores` [1,A,2] softmax, background first; `boxes` [1,A,4] corners from 0 to 1."""

    outputs, input_name, widths, columns = ("scores", "boxes"), "input", WIDTHS, (2, 4)
    first_column = 1
    priors = ((8, 12, 18), (24, 36), (48, 72))

    def set_weights(self):
        set_bias(self.box, 0.0, 2.0)

    def forward(self, x):
        levels = self.backbone(x)
        self.kept = {"head": levels, "neck": levels[0], "backbone": levels[2]}
        logits, raw = self.rows(self.cls, levels, self.columns[0]), self.rows(self.box, levels, 4)
        self.keep(logits)
        scale = torch.tensor([self.size[1], self.size[0]]).float()
        sides = torch.cat([
            torch.tensor(sides).float().repeat((self.levels == level).sum() // len(sides))
            for level, sides in enumerate(self.priors)
        ])[:, None] / scale
        centres = raw[..., :2] * 0.1 * sides + self.places * self.steps[:, None] / scale
        sides = (raw[..., 2:] * 0.2).exp() * sides
        return logits.softmax(2), torch.cat((centres - sides / 2, centres + sides / 2), 2)

    def read(self, scores, boxes):
        height, width = self.size
        return boxes[0] * torch.tensor([width, height, width, height]), scores[0, :, 1:]


class BackgroundLast(UltraFace):
    """`scores` [1,A,4] softmax, background last and the likeliest nearly everywhere, as in a trained net."""

    columns, labels, first_column, bias = (4, 4), 3, 0, 5.0
    priors = ((14, 16, 18), (24, 28), (48, 56))

    def settle(self, image):
        super().settle(image)
        for layer in self.cls:
            layer.bias.data[self.labels :: self.columns[0]] += self.bias

    def read(self, scores, boxes):
        return super().read(scores, boxes)[0], scores[0, :, : self.labels]


class BlazeFace(Ssd):
    """`regressors` [1,896,16]: box and six points in pixels from the anchor; `classificators` [1,896,1]: logits."""

    outputs, input_name, columns = ("regressors", "classificators"), "input", (1, 16)
    size, strides, heads, widths = (128, 128), (8, 16), (2, 6), WIDTHS[:2]
    best_level = 1

    def set_weights(self):
        set_bias(self.box, [0.0, 0.0, 30.0, 30.0] + 12 * [0.0], 5.0)

    def forward(self, x):
        levels = self.backbone(x)
        self.kept = {"head": levels, "neck": levels[0], "backbone": levels[1]}
        logits = self.rows(self.cls, levels, 1)
        self.keep(logits)
        return self.rows(self.box, levels, 16), logits

    def read(self, regressors, classificators):
        anchors = self.places * self.steps[:, None] / 128
        boxes = torch.cat((regressors[0, :, :2] / 128 + anchors, regressors[0, :, 2:4] / 128), 1) * 128
        return box_convert(boxes, "cxcywh", "xyxy"), classificators[0].clamp(-100, 100).sigmoid()

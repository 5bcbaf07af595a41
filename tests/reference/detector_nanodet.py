"""NanoDet's output layouts, for detectors.py; see detector_nets.py."""

from functools import partial

import torch
from torch import nn

from detector_nets import Dense, conv, set_bias


class NanoDet(Dense):
    """A tensor of sigmoids [1,h*w,K] and one of distributions [1,h*w,4*8] a level; the centre is (x + 0.5) * stride."""

    act, input_name = partial(nn.LeakyReLU, 0.1), "input.1"
    outputs = tuple(f"{kind}_pred_stride_{stride}" for kind in ("cls", "dis") for stride in Dense.strides)

    def make_heads(self):
        self.head = self.branches(self.labels + 32)

    def set_weights(self):
        bias = torch.cat([torch.full((self.labels,), -0.5), (-0.5 * torch.arange(8)).repeat(4)])
        set_bias(self.head, bias, 1.8)

    def class_layers(self):
        return [(branch[-1], slice(self.labels)) for branch in self.head]

    def raw(self, x):
        """The logits and the distributions of each level."""
        classes, boxes = zip(*(head(p).split((self.labels, 32), 1) for head, p in zip(self.head, self.features(x))))
        self.keep(torch.cat([cls.flatten(2) for cls in classes], 2).transpose(1, 2))
        return classes, boxes

    def forward(self, x):
        classes, boxes = self.raw(x)
        rows = lambda level: level.flatten(2).permute(0, 2, 1)
        return *(rows(cls.sigmoid()) for cls in classes), *map(rows, boxes)

    def read(self, *outputs):
        return self.decoded(*(torch.cat(levels, 1)[0] for levels in (outputs[3:], outputs[:3])))

    def decoded(self, boxes, scores):
        raw = boxes.unflatten(1, (4, 8))
        first, second = (raw.softmax(-1) @ torch.arange(8.0)).chunk(2, 1)
        return torch.cat((self.places - first, self.places + second), 1) * self.steps[:, None], scores


class NanoDetJoined(NanoDet):
    """`output` [1,h*w of all levels,K+4*8]: sigmoids, then distributions."""

    input_name, outputs = "data", ("output",)

    def forward(self, x):
        classes, boxes = self.raw(x)
        levels = [torch.cat((cls.sigmoid(), box), 1).flatten(2) for cls, box in zip(classes, boxes)]
        return torch.cat(levels, 2).permute(0, 2, 1)

    def read(self, output):
        scores, boxes = output[0].split((self.labels, 32), 1)
        return self.decoded(boxes, scores)


class NanoDetPlus(NanoDetJoined):
    """The same with a fourth level, of stride 64; the point of a cell is x * stride."""

    strides, offset = (8, 16, 32, 64), 0.0

    def make_body(self):
        super().make_body()
        self.down = conv(16, 16, 3, 2, self.act)

    def features(self, x):
        levels = super().features(x)
        levels.append(self.down(levels[-1]))
        return levels

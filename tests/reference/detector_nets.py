"""Tiny nets with the output layouts of dense detectors, for detectors.py.

Every net here is our own: a few convolutions as the backbone (strides 8, 16 and 32), a neck, and a head whose
outputs have the names, shapes and meaning of a family. A net has:

- `size`: height and width of its input, `outputs`: the names of its outputs, `strides`: of its levels
- `settle(image)`: sets weights by hand after all were made random
- `read(outputs)`: boxes [A,4] as x1, y1, x2, y2 in pixels of the input, and scores [A,K]. A net without NMS has
  `picked(outputs)` instead: the rows of the logits, classes, scores and boxes of its detections
- `kept`: after a forward pass, the class logits [A,K], the level of every row, and the layers
"""

import math
from functools import partial

import torch
from torch import nn
from torchvision.ops import box_convert

CLASSES = 7
WIDTHS = (12, 16, 24)


class Unusable(Exception):
    """Values with which a test would be fragile; the next seed is tried."""


def need(condition, why):
    if not condition:
        raise Unusable(why)


def conv(c_in, c_out, kernel=3, stride=1, act=nn.SiLU):
    layers = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(c_out)
    return nn.Sequential(*layers, act())


class Backbone(nn.Module):
    """The tensors of strides 8, 16 and 32."""

    def __init__(self, act, widths=WIDTHS):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 3, 2, act), conv(8, 8, 3, 2, act))
        ends = (8, *widths)
        self.stages = nn.ModuleList(
            nn.Sequential(conv(a, b, 3, 2, act), conv(b, b, 3, 1, act)) for a, b in zip(ends, ends[1:])
        )

    def forward(self, x):
        x, levels = self.stem(x), []
        for stage in self.stages:
            levels.append(x := stage(x))
        return levels


class Pyramid(nn.Module):
    """A backbone and a neck that goes down to stride 8 and up again; every level has `out` channels."""

    def __init__(self, act, out=16):
        super().__init__()
        self.backbone = Backbone(act)
        c3, c4, c5 = WIDTHS
        self.down4, self.down3 = conv(c5 + c4, out, 1, 1, act), conv(out + c3, out, 3, 1, act)
        self.half3, self.half4 = conv(out, out, 3, 2, act), conv(out, out, 3, 2, act)
        self.up4, self.up5 = conv(out + out, out, 3, 1, act), conv(out + c5, out, 3, 1, act)

    def forward(self, x):
        c3, c4, c5 = self.backbone(x)
        twice = lambda t: nn.functional.interpolate(t, scale_factor=2, mode="nearest")
        p4 = self.down4(torch.cat([twice(c5), c4], 1))
        p3 = self.down3(torch.cat([twice(p4), c3], 1))
        n4 = self.up4(torch.cat([self.half3(p3), p4], 1))
        n5 = self.up5(torch.cat([self.half4(n4), c5], 1))
        return [p3, n4, n5], {"neck": c3, "backbone": c5}


def cells(size, strides, offset=0.0, repeat=1):
    """Columns and rows of all cells [A,2], their strides [A] and levels [A]; a cell has `repeat` rows in a row."""
    places, steps, levels = [], [], []
    for level, stride in enumerate(strides):
        ys, xs = torch.meshgrid(*(torch.arange(math.ceil(side / stride)) for side in size), indexing="ij")
        places.append((torch.stack([xs, ys], -1).reshape(-1, 2).float() + offset).repeat_interleave(repeat, 0))
        steps.append(torch.full((len(places[-1]),), float(stride)))
        levels.append(torch.full((len(places[-1]),), level))
    return torch.cat(places), torch.cat(steps), torch.cat(levels)


class Dense(nn.Module):
    size, strides, act, offset, repeat, metadata = (96, 128), (8, 16, 32), nn.SiLU, 0.5, 1, {}
    outputs, input_name, labels, batchless, first_label = ("output",), "images", CLASSES, False, 0
    first_column, best_level, mean = 0, 0, -2.0

    def __init__(self):
        super().__init__()
        self.make_body()
        self.places, self.steps, self.levels = cells(self.size, self.strides, self.offset, self.repeat)
        self.kept = {}
        self.make_heads()

    def make_body(self):
        self.pyramid = Pyramid(self.act)

    def branches(self, channels, width=12, kernel=3):
        """A head of two convolutions and a 1x1 convolution for each level."""
        block = lambda a, b: conv(a, b, kernel, 1, self.act)
        return nn.ModuleList(
            nn.Sequential(block(16, width), block(width, width), nn.Conv2d(width, channels, 1)) for _ in self.strides
        )

    def features(self, x):
        levels, layers = self.pyramid(x)
        self.kept = {"head": levels, **layers}
        return levels

    def keep(self, logits):
        """Remembers class logits [1,A,K]."""
        self.kept["logits"] = logits[0]

    def settle(self, image):
        """Sets weights by hand, and spreads the class logits, with the best most often in `best_level`."""
        self.set_weights()
        for number, (layer, columns) in enumerate(self.class_layers()):
            with Input(layer) as kept:
                self(image)
            spread(layer, columns, kept.values, self.mean + 0.8 * (number % len(self.strides) == self.best_level))

    def read(self, output):
        """Centre, width, height, objectness, classes."""
        rows = output[0]
        return box_convert(rows[:, :4], "cxcywh", "xyxy"), rows[:, 4:5] * rows[:, 5:]

    def class_layers(self):
        """The last convolution of each level and its columns that are logits."""
        return [(branch[-1], slice(None)) for branch in self.cls]


class Input:
    """Keeps the inputs of a layer."""

    def __init__(self, layer):
        self.values = []
        self.hook = layer.register_forward_pre_hook(lambda _, inputs: self.values.append(inputs[0]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hook.remove()


@torch.no_grad()
def spread(layer, columns, values, mean, deviation=1.6):
    """Scales the weights so that logits have this mean and deviation over the picture."""
    axis = 1 if isinstance(layer, nn.Conv2d) else -1
    logits = torch.cat([layer(value).movedim(axis, 0).flatten(1) for value in values], 1)[columns]
    scale = (deviation / logits.std(1)).clamp(max=12)
    layer.weight.data[columns] *= scale.view(-1, *(1,) * (layer.weight.ndim - 1))
    layer.bias.data[columns] = mean + (layer.bias.data[columns] - logits.mean(1)) * scale


def set_bias(branches, values, gain=1.0):
    """Gives the last convolution of each branch these biases and multiplies its weights."""
    for branch in branches:
        last = branch[-1] if isinstance(branch, nn.Sequential) else branch
        values = torch.as_tensor(values, dtype=torch.float32)
        given = values.repeat(len(last.bias) // values.numel())
        last.bias.data = given.clone() if values.ndim else last.bias.data + values
        last.weight.data *= gain


def named_classes(size, **more):
    names = {i: f"class{i}" for i in range(CLASSES)}
    return {"task": "detect", "stride": "32", "batch": "1", "imgsz": str(list(size)), "names": str(names), **more}


class YoloV8(Dense):
    """`output0` [1,4+K,A]: centre, width and height in pixels from distributions of distances; sigmoids."""

    outputs, bins, metadata = ("output0",), 8, named_classes(Dense.size)

    def make_heads(self):
        self.box, self.cls = self.branches(4 * self.bins), self.branches(self.labels)
        self.expected = nn.Conv2d(self.bins, 1, 1, bias=False)

    def set_weights(self):
        self.expected.weight.data = torch.arange(self.bins).float().view(1, -1, 1, 1)
        set_bias(self.box, -0.5 * torch.arange(self.bins), 2)

    def corners(self, x):
        """Left upper and right lower corners [1,2,A] in pixels, and class logits [1,K,A]."""
        levels = self.features(x)
        rows = [torch.cat([b(p), c(p)], 1) for b, c, p in zip(self.box, self.cls, levels)]
        rows = torch.cat([r.view(1, 4 * self.bins + self.labels, -1) for r in rows], 2)
        box, logits = rows.split((4 * self.bins, self.labels), 1)
        box = box.view(1, 4, self.bins, -1).transpose(1, 2).softmax(1)
        first, second = self.expected(box).view(1, 4, -1).chunk(2, 1)
        places = self.places.T[None]
        self.keep(logits.transpose(1, 2))
        return (places - first) * self.steps, (places + second) * self.steps, logits

    def forward(self, x):
        first, second, logits = self.corners(x)
        return torch.cat(((first + second) / 2, second - first, logits.sigmoid()), 1)

    def read(self, output):
        rows = output[0].T
        return box_convert(rows[:, :4], "cxcywh", "xyxy"), rows[:, 4:]


class PpYoloE(YoloV8):
    """`boxes` [1,A,4] corners in pixels, `scores` [1,K,A] sigmoids."""

    outputs, input_name, metadata = ("boxes", "scores"), "image", {}

    def forward(self, x):
        first, second, logits = self.corners(x)
        return torch.cat((first, second), 1).transpose(1, 2), logits.sigmoid()

    def read(self, boxes, scores):
        return boxes[0], scores[0].T


class YoloEndToEnd(Dense):
    """`output0` [1,40,6]: corners in pixels, score, class; the best are chosen in the graph and there is no NMS."""

    outputs, top, metadata = ("output0",), 40, named_classes(Dense.size, end2end="True")

    def make_heads(self):
        self.box, self.cls = self.branches(4), self.branches(self.labels)

    def set_weights(self):
        set_bias(self.box, [1.4, 1.4, 1.4, 1.4], 0.5)

    def forward(self, x):
        levels = self.features(x)
        flat = lambda heads: torch.cat([h(p).flatten(2) for h, p in zip(heads, levels)], 2).transpose(1, 2)
        distances, logits = flat(self.box), flat(self.cls)
        self.keep(logits)
        first, second = distances.chunk(2, 2)
        boxes = torch.cat((self.places - first, self.places + second), 2) * self.steps[:, None]
        scores = logits.sigmoid()
        anchors = scores.amax(-1).topk(self.top).indices[..., None]
        boxes = boxes.gather(1, anchors.expand(-1, -1, 4))
        scores = scores.gather(1, anchors.expand(-1, -1, self.labels))
        scores, index = scores.flatten(1).topk(self.top)
        self.kept["rows"] = anchors[0, index[0] // self.labels, 0]
        boxes = boxes.gather(1, (index // self.labels)[..., None].expand(-1, -1, 4))
        return torch.cat((boxes, scores[..., None], (index % self.labels)[..., None].float()), 2)

    def picked(self, output):
        """Rows of the logits, classes, scores and boxes."""
        return self.kept["rows"], output[0, :, 5].long(), output[0, :, 4], output[0, :, :4]


class YoloV5(Dense):
    """`output0` [1,A,5+K]: centre, width and height in pixels, objectness, classes; three anchors for every cell."""

    outputs = ("output0",)
    metadata = {k: v for k, v in named_classes(Dense.size).items() if k in ("stride", "names")}
    anchors = (((6, 9), (12, 8), (14, 20)), ((20, 30), (34, 22), (30, 44)), ((50, 40), (44, 70), (80, 60)))

    def make_heads(self):
        self.detect = nn.ModuleList(nn.Conv2d(16, 3 * (5 + self.labels), 1) for _ in self.strides)
        self.levels = torch.cat([self.levels[self.levels == n].repeat(3) for n in range(3)])

    def set_weights(self):
        set_bias(self.detect, 0.5, 1.5)

    def class_layers(self):
        wide = 5 + self.labels
        return [(head, [i for i in range(3 * wide) if i % wide > 3]) for head in self.detect]

    def forward(self, x):
        rows, logits = [], []
        for number, (p, head) in enumerate(zip(self.features(x), self.detect)):
            stride, (h, w) = self.strides[number], (math.ceil(side / self.strides[number]) for side in self.size)
            raw = head(p).view(1, 3, 5 + self.labels, h, w).permute(0, 1, 3, 4, 2).contiguous()
            grid = cells(self.size, [stride])[0].view(1, 1, h, w, 2) - 0.5
            anchors = torch.tensor(self.anchors[number]).float().view(1, 3, 1, 1, 2)
            xy, wh, rest = raw.sigmoid().split((2, 2, 1 + self.labels), 4)
            row = torch.cat(((xy * 2 + grid) * stride, (wh * 2) ** 2 * anchors, rest), 4)
            rows.append(row.view(1, 3 * h * w, 5 + self.labels))
            logits.append(raw[..., 5:].reshape(1, 3 * h * w, self.labels))
        self.keep(torch.cat(logits, 1))
        return torch.cat(rows, 1)


class YoloX(Dense):
    """`output` [1,A,5+K]: the box as the convolution gave it, sigmoids of objectness and classes."""

    offset, mean = 0.0, -0.7

    def make_heads(self):
        self.box, self.cls = self.branches(4), self.branches(self.labels)
        self.obj = nn.ModuleList(nn.Conv2d(16, 1, 1) for _ in self.strides)

    def set_weights(self):
        set_bias(self.box, [0.5, 0.5, 1.0, 1.0], 0.5)

    def class_layers(self):
        return super().class_layers() + [(layer, slice(None)) for layer in self.obj]

    def forward(self, x):
        rows, logits = [], []
        for p, box, cls, obj in zip(self.features(x), self.box, self.cls, self.obj):
            raw = cls(p)
            logits.append(raw.flatten(2))
            rows.append(torch.cat([box(p), obj(p).sigmoid(), raw.sigmoid()], 1).flatten(2))
        self.keep(torch.cat(logits, 2).transpose(1, 2))
        return torch.cat(rows, 2).permute(0, 2, 1)

    def decoded(self, rows):
        steps = self.steps[:, None]
        return torch.cat(((rows[..., :2] + self.places) * steps, rows[..., 2:4].exp() * steps, rows[..., 4:]), -1)

    def read(self, output):
        return super().read(self.decoded(output))


class YoloXDecoded(YoloX):
    """The same with centre, width and height in pixels."""

    read = Dense.read

    def forward(self, x):
        return self.decoded(super().forward(x))


class FastestDet(Dense):
    """`output` [1,h*w,5+K] at stride 16: centre, width, height in pixels, objectness, a softmax over the classes."""

    strides, act, offset, input_name = (16,), nn.ReLU, 0.0, "input"

    def make_heads(self):
        self.box, self.cls, self.obj = (self.branches(n, kernel=5)[0] for n in (4, self.labels, 1))

    def set_weights(self):
        set_bias([self.box], [0.0, 0.0, -1.0, -1.0], 0.7)
        set_bias([self.obj], 0.7, 1.5)

    def class_layers(self):
        return [(self.cls[-1], slice(None))]

    def features(self, x):
        levels, layers = self.pyramid(x)
        self.kept = {"head": levels[1:2], **layers}
        return levels[1]

    def forward(self, x):
        p = self.features(x)
        raw, logits, (height, width) = self.box(p), self.cls(p), self.size
        grid = self.places.T.view(1, 2, height // 16, width // 16)
        centres = (raw[:, :2].tanh() + grid) / torch.tensor([width / 16, height / 16]).view(1, 2, 1, 1)
        boxes = torch.cat((centres, raw[:, 2:].sigmoid()), 1)
        boxes = boxes * torch.tensor([width, height, width, height]).float().view(1, 4, 1, 1)
        self.keep(logits.flatten(2).transpose(1, 2))
        rows = torch.cat((boxes, self.obj(p).sigmoid(), logits.softmax(1)), 1)
        return rows.permute(0, 2, 3, 1).reshape(1, -1, 5 + self.labels)

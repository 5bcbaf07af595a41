"""A dense detector as exporters other than its own write it, for detectors.py."""

import torch
from torchvision.ops import box_convert, nms

from detector_nets import YoloV5, YoloV8


class YoloV8Rows(YoloV8):
    """`output` [1,A,4+K]: a row for each anchor, and no metadata."""

    outputs, metadata = ("output",), {}

    def forward(self, x):
        return super().forward(x).transpose(1, 2)

    def read(self, output):
        return super().read(output.transpose(1, 2))


class LargestClass(YoloV8):
    """`boxes` [1,A,4] corners, `scores` and integer `labels` [1,A] of the likeliest class, before suppression."""

    outputs, metadata = ("boxes", "scores", "labels"), {}

    def scored(self, x):
        first, second, logits = self.corners(x)
        return torch.cat((first, second), 1).transpose(1, 2), *logits.sigmoid().transpose(1, 2).max(-1)

    def forward(self, x):
        return self.scored(x)

    def read(self, boxes, scores, labels):
        columns = torch.arange(self.labels)
        return boxes[0], torch.where(columns == labels[0][:, None], scores[0][:, None], 0)


class LargestRows(LargestClass):
    """`output` [1,A,6]: corners, score and class of the likeliest class, before suppression, as DeepStream takes them."""

    outputs = ("output",)

    def forward(self, x):
        boxes, scores, labels = self.scored(x)
        return torch.cat((boxes, scores[..., None], labels[..., None].to(boxes)), -1)

    def read(self, output):
        boxes, scores, labels = output.split((4, 1, 1), -1)
        return super().read(boxes, scores[..., 0], labels[..., 0])


class Suppressed(LargestClass):
    """Detections that `torchvision.ops.nms` leaves, class by class."""

    def best(self, x, overlap=0.45, most=100):
        boxes, scores, labels = (value[0] for value in self.scored(x))
        kept = nms(boxes + 1000.0 * labels[:, None].to(boxes), scores, overlap)[:most]
        self.kept["rows"] = kept
        return boxes, scores, labels, kept

    def picked(self, boxes, scores, labels):
        """Rows of the logits, classes, scores and boxes."""
        return self.kept["rows"], labels, scores, boxes


class ScoredBoxes(Suppressed):
    """`dets` [1,D,5]: corners and score, and `labels` [1,D], as mmdeploy writes them."""

    outputs = ("dets", "labels")

    def forward(self, x):
        boxes, scores, labels, kept = self.best(x)
        return torch.cat((boxes, scores[:, None]), -1)[kept][None], labels[kept][None]

    def picked(self, dets, labels):
        return super().picked(dets[0, :, :4], dets[0, :, 4], labels[0])


class PaddedRows(Suppressed):
    """`output0` [1,120,6]: corners, score and class, filled with zeros, as Ultralytics writes them with `nms=True`."""

    outputs, rows = ("output0",), 120

    def forward(self, x):
        boxes, scores, labels, kept = self.best(x)
        found = torch.cat((boxes[kept], scores[kept, None], labels[kept, None].to(boxes)), -1)
        return torch.nn.functional.pad(found, (0, 0, 0, self.rows - found.shape[0]))[None]

    def picked(self, output):
        found = output[0, : len(self.kept["rows"])]
        return super().picked(found[:, :4], found[:, 4], found[:, 5].long())


class Confident(Suppressed):
    """Detections above a limit of the score. In a black picture there are none, as in a trained net's."""

    limit = 0.1

    def best(self, x, overlap=0.45, most=100):
        boxes, scores, labels = (value[0] for value in self.scored(x))
        passed = ((scores > self.limit) & (x.amax() > 0)).nonzero()[:, 0]
        apart = boxes[passed] + 1000.0 * labels[passed][:, None].to(boxes)
        kept = passed[nms(apart, scores[passed], overlap)[:most]]
        self.kept["rows"] = kept
        return boxes, scores, labels, kept


class ConfidentBoxes(Confident, ScoredBoxes):
    """`dets` [1,D,5] and `labels` [1,D] with a limit for the score."""


class NumberedRows(Confident):
    """`output` [D,7]: number of the picture, corners, class and score, as YOLOv7 writes them with `--end2end`."""

    outputs = ("output",)

    def forward(self, x):
        boxes, scores, labels, kept = self.best(x)
        labels, scores = labels[kept, None], scores[kept, None]
        return torch.cat((torch.zeros_like(labels).to(boxes), boxes[kept], labels.to(boxes), scores), 1)

    def picked(self, output):
        return super().picked(output[:, 1:5], output[:, 6], output[:, 5].long())


class LabelledRows(Confident):
    """`output` [D,6]: class, score and corners, as Paddle writes them."""

    outputs = ("output",)

    def forward(self, x):
        boxes, scores, labels, kept = self.best(x)
        return torch.cat((labels[kept, None].to(boxes), scores[kept, None], boxes[kept]), 1)

    def picked(self, output):
        return super().picked(output[:, 2:], output[:, 1], output[:, 0].long())


class ProductRows(YoloV5):
    """`output0` [1,A,4+K]: the scores of classes are products with the objectness, as YOLOv4 and PP-YOLO have them."""

    metadata = {}

    def forward(self, x):
        rows = super().forward(x)
        return torch.cat((rows[..., :4], rows[..., 4:5] * rows[..., 5:]), 2)

    def read(self, output):
        return box_convert(output[0, :, :4], "cxcywh", "xyxy"), output[0, :, 4:]


class RowsWithOnes(YoloV8Rows):
    """`output` [1,A,5+K]: with ones for the objectness, as YOLOv6 writes them."""

    def forward(self, x):
        rows = super().forward(x)
        return torch.cat((rows[..., :4], torch.ones_like(rows[..., :1]), rows[..., 4:]), 2)

    def read(self, output):
        return super().read(torch.cat((output[..., :4], output[..., 5:]), 2))


class LargestColumns(LargestClass):
    """`boxes` [1,A,4] centres and sizes, `scores` and labels as floats, `classes`, [1,A,1], as older DeepStream takes them."""

    outputs = ("boxes", "scores", "classes")

    def forward(self, x):
        boxes, scores, labels = self.scored(x)
        return box_convert(boxes, "xyxy", "cxcywh"), scores[..., None], labels[..., None].to(boxes)

    def read(self, boxes, scores, classes):
        return super().read(box_convert(boxes, "cxcywh", "xyxy"), scores[..., 0], classes[..., 0])

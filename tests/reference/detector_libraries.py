"""Small models of torchvision and transformers, for detectors.py.

They have what the nets of detector_nets.py have, but `picked(outputs)` instead of `read`: the rows of the logits,
classes, scores and boxes of the detections, as the libraries give them. Only RetinaNetLevels is a dense net.
"""

import contextlib
from collections import OrderedDict
from types import SimpleNamespace

import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign, box_convert
from transformers import (
    DetrConfig, DetrForObjectDetection, DetrImageProcessor, DFineConfig, DFineForObjectDetection, HGNetV2Config,
    ResNetConfig, RTDetrConfig, RTDetrForObjectDetection, RTDetrImageProcessor, RTDetrResNetConfig, YolosConfig,
    YolosForObjectDetection, YolosImageProcessor,
)

from detector_nets import WIDTHS, Backbone, Dense, Input, need, set_bias, spread

LEAST = 6
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1], "layer_type": "basic"}


class RetinaNetLevels(Dense):
    """Three tensors of sigmoids [1,9*K,h,w] and three of box differences [1,36,h,w], decoded by torchvision."""

    size, act = (160, 192), nn.ReLU
    outputs, input_name = ("cls0", "cls1", "cls2", "box0", "box1", "box2"), "input"
    mean = -4.0

    def make_heads(self):
        self.levels = self.levels.repeat_interleave(9)
        self.cls, self.box = self.branches(9 * self.labels)[0], self.branches(36)[0]

    def set_weights(self):
        set_bias([self.box], [0.0, 0.0, -0.5, -0.5], 0.3)

    def class_layers(self):
        return [(self.cls[-1], slice(None))]

    def forward(self, x):
        levels = self.features(x)
        logits, boxes = [self.cls(p) for p in levels], [self.box(p) for p in levels]
        self.keep(torch.cat([self.rows(t, self.labels) for t in logits])[None])
        return *(t.sigmoid() for t in logits), *boxes

    def rows(self, tensor, columns):
        return tensor[0].unflatten(0, (9, columns)).permute(2, 3, 0, 1).reshape(-1, columns)

    def read(self, *outputs):
        sizes = tuple(tuple(4 * stride * 2 ** (i / 3) for i in range(3)) for stride in self.strides)
        generator = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 3)
        (anchors,) = generator(ImageList(torch.zeros(1, 3, *self.size), [self.size]), list(outputs[3:]))
        deltas = torch.cat([self.rows(t, 4) for t in outputs[3:]])
        boxes = BoxCoder((1.0, 1.0, 1.0, 1.0)).decode_single(deltas, anchors)
        return boxes, torch.cat([self.rows(t, self.labels) for t in outputs[:3]])


class TinyFpn(nn.Module):
    """A backbone and torchvision's feature pyramid."""

    def __init__(self, out_channels):
        super().__init__()
        self.body, self.out_channels = Backbone(nn.ReLU), out_channels
        self.fpn = FeaturePyramidNetwork(list(WIDTHS), out_channels)

    def forward(self, x):
        levels = self.body(x)
        found = self.fpn(OrderedDict((str(i), level) for i, level in enumerate(levels)))
        self.kept = {"head": list(found.values()), "neck": levels, "backbone": levels[-1]}
        return found


class TinySsd(Backbone):
    out_channels = WIDTHS

    def forward(self, x):
        levels = super().forward(x)
        self.kept = {"head": levels, "neck": levels[0], "backbone": levels[-1]}
        return OrderedDict((str(i), level) for i, level in enumerate(levels))


class Torchvision(nn.Module):
    """A model of torchvision, with NMS inside and without a batch axis; label 0 is the background."""

    size, input_name, batchless, labels, first_label, first_column = (96, 128), "image", True, 5, 1, 1
    outputs, metadata, overlap = ("boxes", "scores", "labels"), {}, 0.45

    def __init__(self):
        super().__init__()
        sides = {"min_size": self.size[0], "max_size": self.size[1]}
        limits = {"score_thresh": 0.05, "nms_thresh": self.overlap, "detections_per_img": 30, "topk_candidates": 100}
        self.make(self.labels + 1, sides, limits)

    def keep_output(self, layer, pick=lambda output: output[0]):
        layer.register_forward_hook(lambda _, __, output: setattr(self, "raw", pick(output)))

    def forward(self, images):
        (found,) = self.model(images)
        self.kept = {**self.model.backbone.kept, "logits": self.raw}
        return tuple(found[name] for name in self.outputs)

    def settle(self, image):
        for layer, mean in self.class_layers():
            columns = [i for i in range(layer.weight.shape[0]) if i % (self.labels + 1)]
            with Input(layer) as kept:
                self([image])
            layer.bias.data[:] = self.background
            layer.weight.data[[i for i in range(layer.weight.shape[0]) if i not in columns]] = 0
            spread(layer, columns, kept.values, mean)

    def picked(self, *outputs):
        found = dict(zip(self.outputs, outputs))
        apart = (self.scores()[:, found["labels"]] - found["scores"]).abs()
        need(len(apart.T) >= LEAST and (apart < 1e-6).sum(0).max() == 1, "too few detections, or equal scores")
        return apart.argmin(0), found["labels"], found["scores"], found["boxes"]


class RetinaNet(Torchvision):
    background = -12.0

    def make(self, classes, sides, limits):
        scales = tuple(tuple(side * 2 ** (i / 3) for i in range(3)) for side in (16, 28, 48))
        anchors = AnchorGenerator(scales, ((0.5, 1.0, 2.0),) * 3)
        self.model = detection.RetinaNet(TinyFpn(16), classes, anchor_generator=anchors, **sides, **limits)
        self.keep_output(self.model.head.classification_head)

    def class_layers(self):
        set_bias([self.model.head.regression_head.bbox_reg], 0.0, 0.3)
        return [(self.model.head.classification_head.cls_logits, -2.5)]

    def scores(self):
        return self.raw.sigmoid()


class Fcos(Torchvision):
    background = -12.0

    def make(self, classes, sides, limits):
        anchors = AnchorGenerator(((8,), (16,), (32,)), ((1.0,),) * 3)
        self.model = detection.FCOS(TinyFpn(32), classes, anchor_generator=anchors, **sides, **limits)
        self.keep_output(self.model.head.classification_head)
        keep = lambda _, __, output: setattr(self, "centred", output[1][0])
        self.model.head.regression_head.register_forward_hook(keep)

    def class_layers(self):
        set_bias([self.model.head.regression_head.bbox_reg], 1.5, 0.7)
        return [(self.model.head.classification_head.cls_logits, -2.0)]

    def scores(self):
        return (self.raw.sigmoid() * self.centred.sigmoid()).sqrt()


class Ssd(Torchvision):
    background = 1.0

    def make(self, classes, sides, limits):
        boxes = DefaultBoxGenerator([[2], [2], [2]], scales=[0.15, 0.3, 0.5, 0.8], steps=[8, 16, 32])
        self.model = detection.ssd.SSD(TinySsd(nn.ReLU), boxes, self.size[::-1], classes, **limits)
        self.keep_output(self.model.head.classification_head)

    def class_layers(self):
        return [(layer, n) for layer, n in zip(self.model.head.classification_head.module_list, (-3, -2, 0.5))]

    def scores(self):
        return self.raw.softmax(1)


class FasterRcnn(Torchvision):
    background, outputs = 1.0, ("boxes", "labels", "scores")

    def make(self, classes, sides, _):
        anchors = AnchorGenerator(((16,), (32,), (64,)), ((0.5, 1.0, 2.0),) * 3)
        pool = MultiScaleRoIAlign(["0", "1", "2"], 5, 2, canonical_scale=40, canonical_level=4)
        limits = {"rpn_pre_nms_top_n_test": 60, "rpn_post_nms_top_n_test": 25, "box_detections_per_img": 30}
        parts = {"rpn_anchor_generator": anchors, "box_roi_pool": pool, "box_head": TwoMLPHead(16 * 25, 24)}
        predictor = FastRCNNPredictor(24, classes)
        limits |= {"box_score_thresh": 0.05, "box_nms_thresh": self.overlap}
        self.model = detection.FasterRCNN(TinyFpn(16), **sides, **limits, **parts, box_predictor=predictor)
        self.keep_output(predictor)

    def class_layers(self):
        return [(self.model.roi_heads.box_predictor.cls_score, 0.0)]

    def scores(self):
        return self.raw.softmax(1)


@contextlib.contextmanager
def undetached():
    """`detach` returns its own tensor."""
    detach = torch.Tensor.detach
    torch.Tensor.detach = lambda tensor: tensor
    try:
        yield
    finally:
        torch.Tensor.detach = detach


class Query(nn.Module):
    """A model of transformers with `logits` and `pred_boxes` of queries."""

    size, input_name, batchless, labels, first_label, first_column = (96, 128), "pixel_values", False, 6, 0, 0
    outputs, metadata, overlap, mean, queries = ("logits", "pred_boxes"), {}, None, -1.5, 30

    def __init__(self):
        super().__init__()
        self.kept, self.model = {}, self.make()

    def keep(self, name, layer, pick=lambda output: output):
        layer.register_forward_hook(lambda _, __, output: self.kept.update({name: pick(output)}))

    def forward(self, pixel_values):
        with undetached():
            found = self.model(pixel_values=pixel_values, return_dict=True)
        self.kept["logits"] = found.logits[0]
        return found.logits, found.pred_boxes

    def settle(self, image):
        layer = self.class_layer()
        with Input(layer) as kept:
            self(image) if not hasattr(self, "more_inputs") else super(type(self), self).forward(image)
        spread(layer, slice(self.labels), kept.values[-1:], self.mean)

    def picked(self, logits, pred_boxes):
        given = SimpleNamespace(logits=logits, pred_boxes=pred_boxes)
        (found,) = self.processor().post_process_object_detection(given, threshold=0.0, target_sizes=[self.size])
        scores = logits[0].softmax(1) if self.softmax else logits[0].sigmoid()
        apart = (scores[:, found["labels"]] - found["scores"]).abs()
        need((apart < 1e-7).sum(0).max() == 1, "equal scores")
        return apart.argmin(0), found["labels"], found["scores"], found["boxes"]


class RtDetr(Query):
    softmax, processor, kind = False, RTDetrImageProcessor, RTDetrForObjectDetection

    def config(self):
        backbone = RTDetrResNetConfig(**RESNET, out_features=["stage2", "stage3", "stage4"])
        return RTDetrConfig(backbone_config=backbone, **self.small, encoder_in_channels=[12, 16, 24])

    small = {"encoder_hidden_dim": 16, "d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
             "encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_layers": 2, "hidden_expansion": 0.5,
             "num_labels": Query.labels, "num_queries": Query.queries, "decoder_in_channels": [16, 16, 16]}

    def make(self):
        model = self.kind(self.config())
        self.keep("backbone", model.model.backbone, lambda levels: levels[-1][0])
        self.keep("neck", model.model.backbone, lambda levels: levels[0][0])
        self.keep("head", model.model.encoder, lambda found: list(found.last_hidden_state))
        self.keep("all", model.model.enc_score_head, lambda logits: logits[0])
        return model

    def class_layer(self):
        return self.model.model.decoder.class_embed[-1]

    @property
    def levels(self):
        """The level of the token that each query began as."""
        tokens = self.kept["all"].max(-1).values.topk(self.queries).indices
        return sum((tokens >= sum(level.shape[-2:].numel() for level in self.kept["head"][:n])).long() for n in (1, 2))


class DFine(RtDetr):
    kind = DFineForObjectDetection

    def config(self):
        backbone = {"embedding_size": 8, "depths": [1, 1, 1, 1], "hidden_sizes": [8, 12, 16, 24],
                    "stem_channels": [3, 8, 8], "stage_in_channels": [8, 8, 12, 16], "stage_mid_channels": [8, 8, 8, 8],
                    "stage_out_channels": [8, 12, 16, 24], "stage_num_blocks": [1, 1, 1, 1],
                    "stage_numb_of_layers": [2, 2, 2, 2], "use_learnable_affine_block": True}
        backbone = HGNetV2Config(**backbone, out_features=["stage2", "stage3", "stage4"])
        small = {**self.small, "depth_mult": 0.34, "lqe_hidden_dim": 16, "max_num_bins": 16}
        return DFineConfig(backbone_config=backbone, **small, encoder_in_channels=[12, 16, 24])


class RfDetr(RtDetr):
    """`dets` [1,Q,4] centre, width and height from 0 to 1, and `labels` [1,Q,K]: logits."""

    outputs, input_name = ("dets", "labels"), "input"

    def forward(self, pixel_values):
        return super().forward(pixel_values)[::-1]

    def picked(self, dets, labels):
        return super().picked(labels, dets)


class RtDetrOfficial(RtDetr):
    """A second input, width and height, and `labels`, `boxes` and `scores` of the best pairs of query and class."""

    outputs, input_name, more_inputs = ("labels", "boxes", "scores"), "images", {"orig_target_sizes": [[128, 96]]}

    def forward(self, images, orig_target_sizes):
        logits, boxes = super().forward(images)
        boxes = box_convert(boxes, "cxcywh", "xyxy") * orig_target_sizes.repeat(1, 2)[:, None]
        scores, index = logits.sigmoid().flatten(1).topk(self.queries)
        rows = index // self.labels
        self.kept["rows"] = rows[0]
        return index % self.labels, boxes.gather(1, rows[..., None].expand(-1, -1, 4)), scores

    def picked(self, labels, boxes, scores):
        return self.kept["rows"], labels[0], scores[0], boxes[0]


class Detr(Query):
    """The softmax has "no object" last."""

    softmax, processor, tokens, mean = True, DetrImageProcessor, (3, 4, 0, 0), 0.0

    def make(self):
        backbone = ResNetConfig(**RESNET, out_features=["stage4"])
        small = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
                 "encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_labels": self.labels}
        plain = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
        model = DetrForObjectDetection(DetrConfig(backbone_config=backbone, num_queries=20, **small, **plain))
        self.keep("backbone", model.model.backbone, lambda found: found[-1][0])
        self.keep("neck", model.model.input_projection)
        self.keep("head", model.model.encoder, lambda found: found.last_hidden_state)
        return model

    def class_layer(self):
        return self.model.class_labels_classifier

    def settle(self, image):
        self.model.model.query_position_embeddings.weight.data *= 6
        super().settle(image)
        last = self.model.bbox_predictor.layers[-1]
        with Input(last) as kept:
            self(image)
        spread(last, slice(2), kept.values, 0.0, 0.9)
        spread(last, slice(2, 4), kept.values, -1.0, 0.4)


class Yolos(Query):
    """Tokens of the class, the picture and the queries, in this order."""

    softmax, processor, mean, queries = True, YolosImageProcessor, 0.0, 20
    tokens = (6, 8, 1, queries)

    def make(self):
        small = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
        config = YolosConfig(**small, image_size=[96, 128], num_detection_tokens=self.queries, num_labels=self.labels)
        model = YolosForObjectDetection(config)
        blocks = model.vit.encoder.layer
        self.keep("neck", blocks[0])
        self.keep("backbone", blocks[1])
        self.keep("head", blocks[2].layernorm_before)
        return model

    def class_layer(self):
        return self.model.class_labels_classifier.layers[-1]

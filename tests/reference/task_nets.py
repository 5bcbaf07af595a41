"""Small segmenters, embeddings, models of pictures and words, and regressors, for tasks.py."""

import torch
import torchvision.models as tv
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, normalize
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.segmentation.deeplabv3 import DeepLabHead, DeepLabV3
from transformers import (
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SiglipConfig,
    SiglipModel,
)

from families import narrow

CLASSES = 5


def conv(inside, outside, stride=1):
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU())


class Unet(nn.Module):
    """Encoder, decoder and skips; the logits go through `end`."""

    def __init__(self, classes, end=None, channels_last=False):
        super().__init__()
        self.down1, self.down2, self.down3 = conv(3, 8, 2), conv(8, 12, 2), conv(12, 16, 2)
        self.up2, self.up1 = conv(16 + 12, 12), conv(12 + 8, 8)
        self.head, self.end, self.channels_last = nn.Conv2d(8, classes, 1), end, channels_last

    def logits(self, x):
        fine = self.down1(x)
        middle = self.down2(fine)
        coarse = self.down3(middle)
        enlarged = interpolate(coarse, scale_factor=2, mode="bilinear")
        middle = self.up2(torch.cat([enlarged, middle], 1))
        enlarged = interpolate(middle, scale_factor=2, mode="nearest")
        return self.head(self.up1(torch.cat([enlarged, fine], 1)))

    def forward(self, x):
        x = self.logits(x.permute(0, 3, 1, 2) if self.channels_last else x)
        x = x if self.end is None else self.end(x)
        return x.permute(0, 2, 3, 1) if self.channels_last else x


class LiteSeg(nn.Module):
    """A pyramid of poolings and a decoder, whose output is the class of each pixel, as PaddleSeg exports it."""

    def __init__(self):
        super().__init__()
        self.stem, self.stage, self.deep = conv(3, 8, 2), conv(8, 12, 2), conv(12, 16, 2)
        self.pools = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(size), nn.Conv2d(16, 8, 1)) for size in (1, 2))
        self.join, self.head = conv(8, 12), nn.Conv2d(12, CLASSES, 3, padding=1)

    def logits(self, x):
        middle = self.stage(self.stem(x))
        deep = self.deep(middle)
        context = sum(interpolate(pool(deep), deep.shape[2:], mode="bilinear") for pool in self.pools)
        joined = interpolate(self.join(context), scale_factor=2, mode="bilinear") + middle
        return interpolate(self.head(joined), scale_factor=4, mode="bilinear")

    def forward(self, x):
        return self.logits(x).argmax(1)


class Wrapped(nn.Module):
    """A library's net with tensors as outputs."""

    def __init__(self, net, pick):
        super().__init__()
        self.net, self.pick = net, pick

    def forward(self, *inputs):
        return self.pick(self.net, *inputs)


class Features(nn.Module):
    """A convolutional net that gives numbers."""

    def __init__(self, numbers, end=None):
        super().__init__()
        self.body = nn.Sequential(conv(3, 8, 2), conv(8, 16, 2), conv(16, 16, 2))
        self.head, self.end = nn.Linear(64, numbers), end

    def forward(self, x):
        x = self.head(avg_pool2d(self.body(x), 4).flatten(1))
        return x if self.end is None else self.end(x)


def resnet():
    with narrow(16):
        net = tv.ResNet(block=tv.resnet.BasicBlock, layers=[1, 1, 1, 1], num_classes=4)
    return IntermediateLayerGetter(net, {"layer4": "out"})


def deeplab():
    with narrow(16):
        head = DeepLabHead(512, CLASSES * 16, (2, 3, 4))
    return Wrapped(DeepLabV3(resnet(), head), lambda net, x: net(x)["out"])


def lraspp():
    with narrow(8):
        net = tv.segmentation.lraspp_mobilenet_v3_large(weights_backbone=None, num_classes=CLASSES * 8)
    return Wrapped(net, lambda net, x: net(x)["out"])


def segformer():
    config = SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 24],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        num_labels=CLASSES,
    )
    return Wrapped(SegformerForSemanticSegmentation(config), lambda net, x: net(x).logits)


def dino():
    config = Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16, mlp_ratio=2)
    config._attn_implementation = "eager"
    return Dinov2Model(config)


TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def clip(vocabulary, end):
    text = TOWER | {"vocab_size": vocabulary, "max_position_embeddings": 24, "eos_token_id": end, "bos_token_id": end - 1}
    vision = TOWER | {"image_size": 64, "patch_size": 16}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=12, attn_implementation="eager")
    return CLIPModel(config)


def siglip(vocabulary):
    text = TOWER | {"vocab_size": vocabulary, "max_position_embeddings": 64, "projection_size": 16}
    vision = TOWER | {"image_size": 64, "patch_size": 16}
    return SiglipModel(SiglipConfig(text_config=text, vision_config=vision, attn_implementation="eager"))


def unit(x):
    return normalize(x, dim=-1)

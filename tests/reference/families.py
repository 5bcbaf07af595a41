"""Small nets of torchvision and timm families, for models.py.

A family has a name, a net, the side of its picture and two layers: the one that whycam must choose as the
default, and an early one. A layer has a module's name and the form of its output: "nchw", "nhwc", or for tokens
the number of tokens before those of the picture.
"""

import contextlib
from dataclasses import dataclass

import timm
import torch
import torchvision.models as tv
from timm.models import ghostnet, metaformer, mlp_mixer, pvt_v2, swin_transformer, swin_transformer_v2
from timm.models.maxxvit import MaxxVit, MaxxVitCfg, MaxxVitConvCfg, MaxxVitTransformerCfg
from timm.models.vision_transformer import VisionTransformer
from timm.models.deit import VisionTransformerDistilled
from torch import nn
from torchvision.models.maxvit import MaxVit
from torchvision.models.regnet import BlockParams
from torchvision.models.resnet import BasicBlock, Bottleneck

CLASSES = 6


@dataclass
class Family:
    name: str
    net: nn.Module
    default: str
    early: str
    size: int = 64
    default_as: str | int = "nchw"
    early_as: str | int = "nchw"
    exporters: tuple = ("legacy", "dynamo")


@contextlib.contextmanager
def narrow(divisor):
    """Nets built inside this context have their channels divided by `divisor`."""
    conv, norm, linear = nn.Conv2d.__init__, nn.modules.batchnorm._NormBase.__init__, nn.Linear.__init__

    def share(channels):
        return channels if channels in (3, CLASSES) else max(1, channels // divisor)

    def narrow_conv(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, *args, **kwargs):
        if groups > 1:
            groups = share(in_channels) if groups == in_channels else max(1, groups // divisor)
        conv(self, share(in_channels), share(out_channels), kernel_size, stride, padding, dilation, groups, *args, **kwargs)

    nn.Conv2d.__init__ = narrow_conv
    nn.modules.batchnorm._NormBase.__init__ = lambda self, c, *args, **kwargs: norm(self, share(c), *args, **kwargs)
    nn.Linear.__init__ = lambda self, c_in, c_out, *args, **kwargs: linear(self, share(c_in), share(c_out), *args, **kwargs)
    try:
        yield
    finally:
        nn.Conv2d.__init__, nn.modules.batchnorm._NormBase.__init__, nn.Linear.__init__ = conv, norm, linear


def narrowed(divisor, make, **kwargs):
    with narrow(divisor):
        return make(num_classes=CLASSES, **kwargs)


def from_timm(name, divisor):
    return narrowed(divisor, lambda **kwargs: timm.create_model(name, **kwargs))


def convolutional():
    resnet = lambda block, **kwargs: narrowed(16, tv.ResNet, block=block, layers=[1, 1, 1, 1], **kwargs)
    yield Family("resnet", resnet(BasicBlock), "layer4", "layer1")
    yield Family("resnet_bottleneck", resnet(Bottleneck), "layer4", "layer1")
    yield Family("resnext", resnet(Bottleneck, groups=32, width_per_group=4), "layer4", "layer1")
    wide = narrowed(32, tv.ResNet, block=Bottleneck, layers=[1, 1, 1, 1], width_per_group=128)
    yield Family("wide_resnet", wide, "layer4", "layer1")
    yield Family("vgg", narrowed(64, tv.vgg11), "features.19", "features.4", 224, exporters=("legacy",))
    yield Family("vgg_bn", narrowed(64, tv.vgg11_bn), "features.27", "features.6", 224, exporters=("dynamo",))
    yield Family("alexnet", narrowed(64, tv.alexnet), "features.11", "features.1", 224)
    yield Family("squeezenet", narrowed(8, tv.squeezenet1_1), "classifier.2", "features.3")
    densenet = tv.DenseNet(growth_rate=4, block_config=(2, 2, 2), num_init_features=8, num_classes=CLASSES)
    yield Family("densenet", densenet, "last:relu", "features.denseblock1")
    yield Family("inception3", narrowed(32, tv.inception_v3, aux_logits=False), "Mixed_7c", "maxpool1", 128)
    googlenet = narrowed(16, tv.googlenet, aux_logits=False, init_weights=False, transform_input=True)
    yield Family("googlenet", googlenet, "inception5b", "inception3a")
    yield Family("mobilenet1", from_timm("mobilenetv1_100", 16), "blocks.4", "blocks.0")
    yield Family("mobilenet2", narrowed(8, tv.mobilenet_v2), "features.18", "features.3")
    yield Family("mobilenet3", narrowed(8, tv.mobilenet_v3_small), "features.12", "features.2")
    yield Family("mobilenet4", from_timm("mobilenetv4_conv_small", 16), "blocks.4", "blocks.1")
    yield Family("mnasnet", narrowed(16, tv.mnasnet1_0), "layers.16", "layers.8")
    shufflenet = tv.ShuffleNetV2([1, 2, 1], [8, 16, 32, 64, 64], num_classes=CLASSES)
    yield Family("shufflenet", shufflenet, "conv5", "stage2")
    yield Family("efficientnet", narrowed(16, tv.efficientnet_b0), "features.8", "features.2")
    yield Family("efficientnet2", from_timm("tf_efficientnetv2_b0", 16), "bn2", "blocks.1", 66)
    yield Family("efficientnet_lite", from_timm("efficientnet_lite0", 16), "bn2", "blocks.1")
    blocks = BlockParams([1, 1, 1], [8, 16, 16], [4, 4, 8], [1.0, 1.0, 1.0], [2, 2, 2], 0.25)
    yield Family("regnet", tv.RegNet(blocks, num_classes=CLASSES, stem_width=8), "trunk_output", "stem")
    small = {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16), "num_classes": CLASSES}
    yield Family("convnext", timm.models.ConvNeXt(**small), "stages.3", "stages.0")
    convnext2 = timm.models.ConvNeXt(**small, use_grn=True, ls_init_value=None, conv_mlp=False)
    yield Family("convnext2", convnext2, "stages.3", "stages.0")
    yield Family("nfnet", from_timm("test_nfnet", 4), "last:silu", "stages.0")
    cfgs = [[[3, 16, 8, 0, 1]], [[3, 24, 12, 0.25, 2]], [[5, 36, 20, 0.25, 2]]]
    yield Family("ghostnet", ghostnet.GhostNet(cfgs, num_classes=CLASSES), "blocks.3", "blocks.0")
    yield Family("repvgg", from_timm("repvgg_a0", 16), "stages.3", "stages.0")


def of_tokens():
    vit = {"img_size": 64, "patch_size": 16, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": CLASSES}
    block = {"early": "blocks.0", "early_as": 1}
    yield Family("vit_class_token", VisionTransformer(**vit), "blocks.1.norm1", default_as=1, **block)
    mean = VisionTransformer(**vit, global_pool="avg")
    yield Family("vit_mean", mean, "blocks.1", default_as=1, **block)
    torchvision = tv.VisionTransformer(64, 16, 2, 2, 16, 32, num_classes=CLASSES)
    layers = "encoder.layers.encoder_layer_"
    yield Family("vit_torchvision", torchvision, f"{layers}1.ln_1", f"{layers}0", default_as=1, early_as=1)
    deit = VisionTransformerDistilled(**vit)
    yield Family("deit", deit, "blocks.1.norm1", "blocks.0", default_as=2, early_as=2)
    swin = {"img_size": 64, "embed_dim": 8, "depths": (2, 2), "num_heads": (2, 4), "num_classes": CLASSES}
    last = {"default": "layers.1.blocks.1", "early": "layers.0.blocks.0", "default_as": "nhwc", "early_as": "nhwc"}
    yield Family("swin", swin_transformer.SwinTransformer(**swin, window_size=4), **last)
    yield Family("swin2", swin_transformer_v2.SwinTransformerV2(**swin, window_size=4), **last)
    maxvit = MaxVit((64, 64), 8, 4, [8, 16], [1, 1], head_dim=4, stochastic_depth_prob=0.0, num_classes=CLASSES)
    yield Family("maxvit", maxvit, "blocks.1", "stem")
    heads = {"conv_cfg": MaxxVitConvCfg(), "transformer_cfg": MaxxVitTransformerCfg(dim_head=8)}
    coatnet = MaxxVitCfg((8, 8, 16, 16), (1, 1, 1, 1), block_type=("C", "C", "T", "T"), stem_width=8, **heads)
    yield Family("coatnet", MaxxVit(coatnet, img_size=64, num_classes=CLASSES), "stages.3", "stages.0")
    pvt = {"depths": (1, 1, 1, 1), "embed_dims": (8, 8, 16, 16), "num_heads": (1, 2, 2, 4), "num_classes": CLASSES}
    net = pvt_v2.PyramidVisionTransformerV2(**pvt)
    yield Family("pvt2", net, "stages.3.blocks.0", "stages.0", default_as=0)
    mixer = mlp_mixer.MlpMixer(img_size=64, patch_size=16, num_blocks=2, embed_dim=16, num_classes=CLASSES)
    yield Family("mlp_mixer", mixer, "blocks.1", "blocks.0", default_as=0, early_as=0)
    poolformer = metaformer.MetaFormer(depths=(1, 1, 1, 1), dims=(8, 8, 16, 16), num_classes=CLASSES)
    yield Family("poolformer", poolformer, "stages.3", "stages.0")


class Rounded(torch.autograd.Function):
    """Rounding to levels from 0 to 255: straight through, but for what a lowest level of zero clips, like a fused ReLU."""

    @staticmethod
    def forward(context, x, scale):
        context.save_for_backward(x)
        return torch.fake_quantize_per_tensor_affine(x, scale, 0, 0, 255)

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return gradient * (x >= 0), None


class Quantised(nn.Module):
    """A small net with weights and activations rounded to 8 bits, as in a QDQ export."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 12, 3, 2, 1), nn.Conv2d(12, 16, 3, 2, 1)])
        self.rounded = nn.ModuleList([nn.Identity() for _ in self.convs])
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x):
        for conv, rounded in zip(self.convs, self.rounded):
            top = conv.weight.detach().abs().amax((1, 2, 3))
            weight = torch.fake_quantize_per_channel_affine(
                conv.weight, top / 127, torch.zeros(len(top), dtype=torch.int32), 0, -128, 127
            )
            x = nn.functional.conv2d(x, weight, conv.bias, conv.stride, conv.padding)
            # The exporter knows only the plain op, which has no gradient above the highest level either.
            plain = torch.onnx.is_in_onnx_export()
            x = rounded(torch.fake_quantize_per_tensor_affine(x, 0.023, 0, 0, 255) if plain else Rounded.apply(x, 0.023))
        return self.head(x.mean((2, 3)))


def special():
    yield Family("int8_qdq", Quantised(), "rounded.2", "rounded.0", 32, exporters=("legacy",))
    # A smooth activation, because rounding can flip a ReLU.
    half = timm.models.ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 8, 16, 16), num_classes=CLASSES).half()
    yield Family("float16", half, "stages.3", "stages.0")


def families():
    yield from convolutional()
    yield from of_tokens()
    yield from special()

#!/usr/bin/env python3
"""Writes small seeded models of the tasks segment, embed and value, and what they must say and why.

    pip install -r tests/reference/requirements.txt
    python tests/reference/tasks.py [NAME ...]

Writes to tests/reference/tasks/:

- NAME.onnx, by PyTorch's exporter that traces, opset 17; for models of pictures and words a folder NAME/ in the
  layout of Transformers.js
- NAME.npy: float32 [2,C,h,w], the activations of a layer and the gradient of the explained score by them, from autograd
- NAME.map.npy [h,w]: for segmenters, pytorch-grad-cam's map with its SemanticSegmentationTarget
- tasks.json, one object per model: name, file, task, the layer's tensor, the explained class, and for segmenters the
  share of each class and the sum of its logits; for the others the logits
- input.npy: the picture, float32 [1,3,64,64] within 0..1; reference-1.npy, reference-2.npy: what embeddings are
  compared with

The expected numbers come from PyTorch and transformers: the likeness of words is `logits_per_image` of CLIPModel and
SiglipModel.
"""

import contextlib
import io
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tokenizers
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget
from torch import nn
from torch.overrides import TorchFunctionMode

import task_nets as nets
from models import randomise, without_remarks

OUT = Path(__file__).with_suffix("")
SIDE, OPSET = 64, 17
WORDS = ["a red flower", "a watering can", "a hand"]


def export(net, inputs, names, outputs, path):
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"input_names": names, "output_names": outputs, "opset_version": OPSET, "dynamo": False}
        if "input_ids" in names:
            options["dynamic_axes"] = {name: {0: "texts", 1: "tokens"} for name in names if name != "pixel_values"}
        torch.onnx.export(net, inputs, path, **options)
    without_remarks(path)


def tensor_like(path, inputs, wanted):
    """The name of the last tensor of an ONNX file that has these values."""
    model = onnx.load(path)
    known = [output.name for output in model.graph.output]
    tensors = [output for node in model.graph.node for output in node.output if output]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    feeds = dict(zip((given.name for given in session.get_inputs()), (given.numpy() for given in inputs)))
    values = dict(zip((output.name for output in session.get_outputs()), session.run(None, feeds)))
    near = 1e-3 * np.abs(wanted).max()
    alike = [n for n in tensors if values[n].shape == wanted.shape and np.allclose(values[n], wanted, atol=near)]
    assert alike, f"{path}: no tensor has the values of the layer"
    return alike[-1]


@contextlib.contextmanager
def watching(module):
    """The last output of a module."""
    seen = []
    hook = module.register_forward_hook(lambda _, __, output: seen.append(output[0] if isinstance(output, tuple) else output))
    yield seen
    hook.remove()


def folded(tensor, prefix):
    """A layer [1,C,h,w], or tokens [1,n,C] after `prefix` others, as [C,h,w]."""
    tensor = tensor[0].detach()
    if tensor.ndim == 3:
        return tensor.numpy()
    tokens = tensor[prefix:]
    side = int(len(tokens) ** 0.5)
    return tokens.T.reshape(-1, side, side).numpy()


def explained(net, layer, inputs, score, prefix=0):
    """What a net gives, the layer, and the gradient of a score by it."""
    net.eval().requires_grad_(True)
    with watching(layer) as seen:
        outputs = net(*inputs)
        value = score(outputs)
    gradient = torch.autograd.grad(value, seen[-1])[0]
    assert gradient.abs().max() > 1e-6
    arrays = np.stack([folded(seen[-1], prefix), folded(gradient, prefix)])
    return outputs, seen[-1].detach().numpy(), arrays, float(value.detach())


def segmenters():
    """Name, net, layer, output name, file name, and whether its cells are binary."""
    sigmoid, softmax = nn.Sigmoid(), nn.Softmax(1)
    unet = nets.Unet(nets.CLASSES, softmax)
    yield "unet", unet, unet.down3, "probabilities", False
    mask = nets.Unet(1, sigmoid)
    yield "mask", mask, mask.down3, "mask", True
    last = nets.Unet(nets.CLASSES, softmax, channels_last=True)
    yield "channels_last", last, last.down3, "activation", False
    bare = nets.Unet(nets.CLASSES)
    yield "unet_bare", bare, bare.down3, "output", False
    lite = nets.LiteSeg()
    yield "liteseg", lite, lite.deep, "argmax_0.tmp_0", False
    deeplab = nets.deeplab()
    yield "deeplab", deeplab, deeplab.net.backbone.layer4, "out", False
    lraspp = nets.lraspp()
    yield "lraspp", lraspp, lraspp.net.backbone["16"], "out", False
    segformer = nets.segformer()
    yield "segformer", segformer, segformer.net.decode_head.linear_projections[-1] if hasattr(
        segformer.net.decode_head, "linear_projections"
    ) else segformer.net.decode_head.linear_c[-1], "logits", False


class Logits(nn.Module):
    """A segmenter without its end."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        if not hasattr(self.net, "logits"):
            return self.net(x)
        return self.net.logits(x.permute(0, 3, 1, 2) if getattr(self.net, "channels_last", False) else x)


def segment(name, net, layer, output, binary, picture):
    for seed in range(50):
        randomise(net, seed)
        net.eval()
        given = picture.permute(0, 2, 3, 1).contiguous() if getattr(net, "channels_last", False) else picture
        whole = Logits(net)
        with torch.no_grad():
            logits = whole(given)[0]
        cells = (logits > 0).float() if binary else nn.functional.one_hot(logits.argmax(0), len(logits)).permute(2, 0, 1).float()
        shares = cells.mean((1, 2))
        margins = logits.abs()[0] if binary else logits.topk(2, 0).values.diff(dim=0).abs()[0]
        ranked = shares.sort(descending=True).values
        apart = binary or float(ranked[0] - ranked[1]) > 0.05
        # The gradient of a class with a tie at many cells would depend on rounding.
        if apart and 0.1 < ranked[0] < 0.9 and margins.min() > 1e-5:
            break
    else:
        raise SystemExit(f"{name}: no seed serves")
    best = int(shares.argmax())
    _, activations, arrays, value = explained(whole, layer, (given,), lambda out: (out[0, best] * cells[best]).sum())
    path = OUT / f"{name}.onnx"
    export(net, (given,), ["image"], [output], path)
    np.save(OUT / f"{name}.npy", arrays.astype(np.float32))
    if arrays.shape[1:] == activations.shape[1:]:
        target = SemanticSegmentationTarget(best, cells[best].numpy())
        cam = GradCAM(model=whole, target_layers=[layer])
        watched = cam.activations_and_grads
        target(watched(given)[0]).backward()
        activation, gradient = watched.activations[0].numpy(), watched.gradients[0].numpy()
        shown = cam.get_cam_image(given, layer, [target], activation, gradient, False)
        watched.release()
        np.save(OUT / f"{name}.map.npy", np.maximum(shown[0], 0).astype(np.float32))
    sums = (logits * cells).sum((1, 2))
    return {
        "name": name,
        "file": path.name,
        "task": "segment",
        "layer": tensor_like(path, [given], activations),
        "class_index": best,
        "channels_last": bool(getattr(net, "channels_last", False)),
        "shares": [round(float(share), 6) for share in shares],
        "sums": [round(float(total), 4) for total in sums],
        "score": round(value, 4),
    }


def rows(picture, references):
    """Models whose outputs are rows: embeddings and values."""
    features = nets.Features(24, nets.unit)
    yield "embedding", features, features.body, ["embedding"], "embed", 0
    plain = nets.Features(24)
    yield "features", plain, plain.body, ["features"], "embed", 0
    dino = nets.dino()
    wrapped = nets.Wrapped(dino, lambda net, x: net(x).pooler_output)
    yield "dino", wrapped, dino.encoder.layer[-1].norm1, ["pooler_output"], "embed", 1
    tokens = nets.dino()
    wrapped = nets.Wrapped(tokens, lambda net, x: net(x).last_hidden_state)
    yield "dino_tokens", wrapped, tokens.encoder.layer[-1].norm1, ["last_hidden_state"], "embed", 1
    age = nets.Features(1)
    yield "age", age, age.body, ["output"], "value", 0
    pose = nets.Features(3)
    yield "pose", pose, pose.body, ["head_pose"], "value", 0


def vector(output):
    """The vector of a picture: of tokens, the class token."""
    return output[0, 0] if output.ndim == 3 else output[0]


def row(name, net, layer, outputs, task, prefix, picture, references):
    for seed in range(50):
        randomise(net, seed)
        net.eval()
        with torch.no_grad():
            own, *others = (nets.unit(vector(net(x))) for x in (picture, *references))
        if task == "value" or max(float(own @ other) for other in others) < 0.95:
            break
    path = OUT / f"{name}.onnx"
    export(net, (picture,), ["image"], outputs, path)
    if task == "value":
        score = lambda out: out[0, 0]
        logits = net(picture)[0]
    else:
        with torch.no_grad():
            vectors = torch.stack([nets.unit(vector(net(reference))) for reference in references])
        logits = nets.unit(vector(net(picture))) @ vectors.T
        score = lambda out: (nets.unit(vector(out)) @ vectors.T).max()
    _, activations, arrays, _ = explained(net, layer, (picture,), score, prefix)
    np.save(OUT / f"{name}.npy", arrays.astype(np.float32))
    return {
        "name": name,
        "file": path.name,
        "task": task,
        "layer": tensor_like(path, [picture], activations),
        "class_index": int(logits.argmax()) if task == "embed" else 0,
        "logits": [round(float(logit), 6) for logit in logits],
    }


def tokenizer(kind):
    """A tokenizer in the form of CLIP's or SigLIP's, of few tokens."""
    letters = sorted(set("".join(WORDS)) - {" "})
    if kind == "clip":
        merges = [("r", "e"), ("re", "d</w>"), ("h", "a"), ("ha", "n"), ("i", "n"), ("in", "g</w>"), ("w", "e"), ("a", "n")]
        tokens = letters + [letter + "</w>" for letter in letters] + [a + b for a, b in merges]
        vocabulary = {token: number for number, token in enumerate(tokens)}
        made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges, end_of_word_suffix="</w>"))
        made.normalizer = tokenizers.normalizers.Lowercase()
        made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        made.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
        ends = [(token, made.token_to_id(token)) for token in ("<|startoftext|>", "<|endoftext|>")]
        template = "<|startoftext|> $A <|endoftext|>"
        made.post_processor = tokenizers.processors.TemplateProcessing(single=template, special_tokens=ends)
        return made
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0), ("▁red", -3.0), ("▁hand", -3.5), ("ing", -3.0)]
    pieces += [(letter, -5.0) for letter in letters]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=2))
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.add_special_tokens(["<pad>", "</s>", "<unk>"])
    ends = [("</s>", made.token_to_id("</s>"))]
    made.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=ends)
    return made


def pooled(head, tokens):
    """SigLIP's attention of a learnt query, step by step, and its weights."""
    attention = head.attention
    width, heads = attention.embed_dim, attention.num_heads
    projected = lambda x, part: nn.functional.linear(
        x, attention.in_proj_weight.chunk(3)[part], attention.in_proj_bias.chunk(3)[part]
    ).reshape(1, -1, heads, width // heads).transpose(1, 2)
    query, keys, values = projected(head.probe, 0), projected(tokens, 1), projected(tokens, 2)
    weights = (query @ keys.transpose(2, 3) / (width // heads) ** 0.5).softmax(-1)
    found = attention.out_proj((weights @ values).transpose(1, 2).reshape(1, 1, width))
    return (found + head.mlp(head.layernorm(found)))[:, 0], weights


class Softmaxes(TorchFunctionMode):
    """Keeps the results of all softmaxes."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") == "softmax":
            self.seen.append(result)
        return result


def attention_maps(name, net, kind, picture, texts, best):
    """LeGrad for both kinds, and Grad-ECLIP for CLIP, from autograd and the papers' formulas."""
    vision = net.vision_model
    last = vision.encoder.layers[-1].self_attn
    kept = {}
    hooks = [getattr(last, part).register_forward_hook(lambda _, __, out, part=part: kept.update({part: out})) for part in ("q_proj", "k_proj", "v_proj")]
    hooks.append(last.out_proj.register_forward_pre_hook(lambda _, given: kept.update(o=given[0])))
    with Softmaxes() as softmaxes:
        states = vision(picture, output_hidden_states=True).hidden_states
    for hook in hooks:
        hook.remove()
    side = SIDE // 16
    first = 1 if kind == "clip" else 0
    shown, score = [], None
    for state, weights in zip(states[1:], softmaxes.seen):
        normed = vision.post_layernorm(state)
        embeds, by = (net.visual_projection(normed[:, 0]), weights) if kind == "clip" else pooled(vision.head, normed)
        score = (nets.unit(embeds) @ texts.T * net.logit_scale.exp())[0, best]
        gradient = torch.autograd.grad(score, by, retain_graph=True)[0].relu()
        shown.append(gradient.reshape(-1, gradient.shape[-1]).mean(0)[first:].reshape(side, side))
    np.save(OUT / f"{name}.legrad.npy", torch.stack(shown).mean(0).detach().numpy())
    if kind == "clip":
        gradient = torch.autograd.grad(score, kept["o"])[0][0, 0]
        query, keys, values = (kept[part][0].detach() for part in ("q_proj", "k_proj", "v_proj"))
        cosine = nets.unit(keys[1:]) @ nets.unit(query[0])
        stretched = (cosine - cosine.min()) / (cosine.max() - cosine.min())
        shown = ((values[1:] * gradient).sum(1) * stretched).relu().reshape(side, side)
        np.save(OUT / f"{name}.grad-eclip.npy", shown.numpy())


def of_words(kind, whole, picture):
    """A model of pictures and words, as two towers or as a whole."""
    name = f"{kind}_whole" if whole else kind
    folder = OUT / name
    folder.mkdir(exist_ok=True)
    words = tokenizer(kind)
    words.save(str(folder / "tokenizer.json"))
    net = nets.clip(words.get_vocab_size(), words.token_to_id("<|endoftext|>")) if kind == "clip" else nets.siglip(words.get_vocab_size())
    randomise(net, 3)
    net.logit_scale.data = torch.tensor(2.6592 if kind == "clip" else 2.3)
    if kind == "siglip":
        net.logit_bias.data = torch.tensor(-10.0)
    net.eval()
    encoded = [words.encode(text) for text in WORDS]
    length = 64 if kind == "siglip" else max(len(one.ids) for one in encoded)
    pad = words.token_to_id("<pad>") if kind == "siglip" else words.token_to_id("<|endoftext|>")
    for one in encoded:
        one.pad(length, pad_id=pad)
    ids = torch.tensor([one.ids for one in encoded])
    mask = torch.tensor([one.attention_mask for one in encoded])
    config = {"model_type": kind}
    (folder / "config.json").write_text(json.dumps(config) + "\n")
    preprocessing = {"size": {"height": SIDE, "width": SIDE}, "resample": 3, "do_normalize": False, "do_rescale": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing, indent=2) + "\n")
    texts = {"input_ids": ids} | ({"attention_mask": mask} if kind == "clip" else {})
    layer = net.vision_model.encoder.layers[-1].layer_norm1
    prefix = 1 if kind == "clip" else 0
    if kind == "siglip":
        layer = net.vision_model.encoder.layers[-1]
    if whole:
        names = [*texts, "pixel_values"]
        pick = lambda net, *given: (lambda out: (out.logits_per_image, out.logits_per_text, out.text_embeds, out.image_embeds))(
            net(**dict(zip(names, given)))
        )
        outputs = ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"]
        path = folder / "model.onnx"
        inputs = (*texts.values(), picture)
        export(nets.Wrapped(net, pick), inputs, names, outputs, path)
    else:
        path, inputs = folder / "vision_model.onnx", (picture,)
        output = "image_embeds" if kind == "clip" else "pooler_output"
        embeds = (lambda net, x: net.visual_projection(net.vision_model(x).pooler_output)) if kind == "clip" else (
            lambda net, x: net.vision_model(x).pooler_output
        )
        export(nets.Wrapped(net, embeds), (picture,), ["pixel_values"], [output], path)
        output = "text_embeds" if kind == "clip" else "pooler_output"
        embeds = (lambda net, *x: net.text_projection(net.text_model(*x).pooler_output)) if kind == "clip" else (
            lambda net, *x: net.text_model(*x).pooler_output
        )
        export(nets.Wrapped(net, embeds), tuple(texts.values()), list(texts), [output], folder / "text_model.onnx")
    score = lambda out: out.logits_per_image[0].max()
    bound = nets.Wrapped(net, lambda net, x: net(pixel_values=x, **texts))
    outputs, activations, arrays, _ = explained(bound, layer, (picture,), score, prefix)
    logits = outputs.logits_per_image[0]
    probabilities = logits.sigmoid() if kind == "siglip" else logits.softmax(0)
    np.save(OUT / f"{name}.npy", arrays.astype(np.float32))
    if not whole:
        with torch.no_grad():
            given = net.text_model(**texts).pooler_output
            given = nets.unit(net.text_projection(given) if kind == "clip" else given)
        attention_maps(name, net, kind, picture, given, int(logits.argmax()))
    return {
        "name": name,
        "file": name,
        "task": "embed",
        "words": WORDS,
        "layer": tensor_like(path, inputs, activations),
        "class_index": int(logits.argmax()),
        "logits": [round(float(logit), 6) for logit in logits],
        "probabilities": [round(float(probability), 6) for probability in probabilities],
        "scale": float(net.logit_scale.exp()),
        "bias": float(net.logit_bias) if kind == "siglip" else 0.0,
    }


def main(wanted):
    OUT.mkdir(exist_ok=True)
    random = np.random.default_rng(5)
    smooth = lambda: torch.nn.functional.interpolate(
        torch.tensor(random.random((1, 3, 9, 9), dtype=np.float32)), size=(SIDE, SIDE), mode="bicubic"
    ).clamp(0, 1)
    picture = smooth()
    references = [1 - smooth(), smooth() * torch.tensor([1, 0.1, 0.1]).view(1, 3, 1, 1)]
    np.save(OUT / "input.npy", picture.numpy())
    for number, reference in enumerate(references, 1):
        np.save(OUT / f"reference-{number}.npy", reference.numpy())
    listed = OUT / "tasks.json"
    lines = {line["name"]: line for line in json.loads(listed.read_text())} if listed.exists() else {}
    for name, *rest in segmenters():
        if not wanted or name in wanted:
            lines[name] = segment(name, *rest, picture)
    for name, *rest in rows(picture, references):
        if not wanted or name in wanted:
            lines[name] = row(name, *rest, picture, references)
    for kind in ("clip", "siglip"):
        for whole in (False, True):
            name = f"{kind}_whole" if whole else kind
            if not wanted or name in wanted:
                lines[name] = of_words(kind, whole, picture)
    listed.write_text("[\n" + ",\n".join(json.dumps(line) for line in lines.values()) + "\n]\n")


if __name__ == "__main__":
    main(sys.argv[1:])

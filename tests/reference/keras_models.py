#!/usr/bin/env python3
"""Exports small channels-last Keras nets with tf2onnx and writes TensorFlow's gradients, next to the files of
models.py and in the same form. Run models.py first.

    pip install -r tests/reference/requirements-keras.txt
    python tests/reference/keras_models.py
"""

import json
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from keras import layers

OUT = Path(__file__).with_name("models")
CLASSES = 6
SIZE = 64


def mobile(x):
    """Depthwise separable, ReLU6, with the asymmetric padding of `same` with strides."""
    for number, channels in enumerate((8, 12, 16)):
        x = layers.SeparableConv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU(6.0, name=f"layer{number}")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(CLASSES, name="logits")(x)


def smooth(x):
    # tf2onnx cannot export the exact form.
    return keras.activations.gelu(x, approximate=True)


def residual(x):
    """Residual blocks with squeeze-and-excitation, swish, and a max pool with `same` padding."""
    x = layers.Rescaling(4.0, -2.0)(x)
    x = layers.Conv2D(8, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="layer0")(x)
    for number in (1, 2):
        y = layers.Conv2D(8, 3, padding="same")(x)
        y = layers.BatchNormalization()(y)
        y = layers.Activation("swish")(y)
        gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
        gate = layers.Conv2D(8, 1, activation="sigmoid")(gate)
        y = layers.Multiply()([y, gate])
        x = layers.Activation(smooth, name=f"layer{number}")(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    x = layers.LayerNormalization()(x)
    return layers.Dense(CLASSES, name="logits")(layers.Dropout(0.2)(x))


def export(name, build, seed):
    keras.utils.set_random_seed(seed)
    picture = keras.Input((SIZE, SIZE, 3), batch_size=1)
    logits = build(picture)
    net = keras.Model(picture, keras.layers.Softmax()(logits))
    random = np.random.default_rng(seed)
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights([random.uniform(0.6, 1.4, shape), random.normal(0, 0.2, shape),
                               random.normal(0, 0.2, shape), random.uniform(0.6, 1.4, shape)])
    whole = np.load(OUT / "input.npy")[..., :SIZE, :SIZE].astype(np.float32) / 255
    pixels = tf.constant(whole.transpose(0, 2, 3, 1))
    found = {}
    for which, layer in (("default", "layer2"), ("early", "layer0")):
        inner = keras.Model(picture, [net.get_layer(layer).output, logits])
        with tf.GradientTape() as tape:
            output, scores = inner(pixels, training=False)
            tape.watch(output)
        # Runs the layers after the target again, so that the tape starts there.
        behind = keras.Model(net.get_layer(layer).output, logits)
        with tf.GradientTape() as tape:
            tape.watch(output)
            scores = behind(output, training=False)[0]
            score = scores[int(np.argmax(scores))]
        gradient = tape.gradient(score, output)
        activations, gradients = (np.asarray(t)[0].transpose(2, 0, 1) for t in (output, gradient))
        cam = np.maximum((gradients.mean((1, 2))[:, None, None] * activations).sum(0), 0)
        np.save(OUT / f"{name}.{which}.npy", np.stack([activations, gradients]))
        np.save(OUT / f"{name}.{which}.map.npy", cam.astype(np.float32))
        found[which] = activations
        print(f"{name:18} {which:8} {activations.shape} map up to {cam.max():.3g}")
    signature = [tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, name="image")]
    path = OUT / f"{name}.tf2onnx.onnx"
    net.output_names = ["scores"]
    function = tf.function(lambda image: net(image, training=False), input_signature=signature)
    tf2onnx.convert.from_function(function, input_signature=signature, opset=18, output_path=str(path))
    return path, found["early"]


def named_like(path, wanted):
    """The last tensor of an ONNX file that has these values, channels first or last."""
    import onnxruntime

    model = onnx.load(path)
    tensors = [output for node in model.graph.node for output in node.output if output]
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in tensors if t not in known)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    whole = np.load(OUT / "input.npy")[..., :SIZE, :SIZE].astype(np.float32) / 255
    values = dict(zip(names, session.run(None, {session.get_inputs()[0].name: whole.transpose(0, 2, 3, 1)})))
    forms = (wanted[None], wanted.transpose(1, 2, 0)[None])
    alike = lambda v: any(v.shape == f.shape and np.allclose(v, f, atol=1e-3 * np.abs(f).max()) for f in forms)
    return [name for name in tensors if name in values and alike(values[name])][-1]


def main():
    listed = OUT / "models.json"
    lines = json.loads(listed.read_text())
    for number, (name, build) in enumerate({"keras_mobile": mobile, "keras_residual": residual}.items()):
        path, early = export(name, build, 40 + number)
        lines = [line for line in lines if line["name"] != name]
        line = {"name": name, "file": path.name, "size": SIZE, "early": named_like(path, early)}
        lines.append({**line, "channels_last": True})
    listed.write_text(json.dumps(lines, indent=0) + "\n")


if __name__ == "__main__":
    main()

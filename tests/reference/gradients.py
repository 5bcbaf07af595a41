#!/usr/bin/env python3
"""Writes ten models that are not of pictures, with their gradients by PyTorch, for tests/gradient.rs.

    pip install -r tests/reference/requirements.txt
    python tests/reference/gradients.py

Writes tests/reference/gradients/NAME.onnx, and NAME.npz with the inputs, `seed` and the expected TENSOR.gradient.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification

OUT = Path(__file__).with_suffix("")


class Tabular(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Linear(13, 32), nn.ReLU(), nn.BatchNorm1d(32), nn.Linear(32, 16), nn.SELU(), nn.Linear(16, 3)
        )


class Physics(nn.Module):
    """The field of a physics-informed net, with a boundary condition built in; its gradient by (x, t) enters the loss."""

    def __init__(self):
        super().__init__()
        self.field = nn.Sequential(nn.Linear(2, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 1))

    def forward(self, x):
        return self.field(x) * torch.sin(x[:, :1])


class Audio(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 8, 9, stride=4), nn.GELU(), nn.GroupNorm(2, 8),
            nn.Conv1d(8, 16, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool1d(4), nn.AdaptiveAvgPool1d(1),
        )
        self.classes = nn.Linear(16, 5)

    def forward(self, x):
        return self.classes(self.features(x).flatten(1))


class Lstm(nn.Module):
    """Five steps, one after the other, without a loop in the graph."""

    def __init__(self):
        super().__init__()
        self.cell, self.classes = nn.LSTMCell(6, 10), nn.Linear(10, 2)

    def forward(self, x):
        state = (torch.zeros(2, 10), torch.zeros(2, 10))
        for step in range(5):
            state = self.cell(x[:, step], state)
        return self.classes(state[0])


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.of_input, self.of_state = nn.Linear(6, 24), nn.Linear(8, 24)

    def forward(self, x):
        state = torch.zeros(2, 8)
        for step in range(4):
            a, b = self.of_input(x[:, step]).split(8, 1), self.of_state(state).split(8, 1)
            reset, update = torch.sigmoid(a[0] + b[0]), torch.sigmoid(a[1] + b[1])
            state = (1 - update) * torch.tanh(a[2] + reset * b[2]) + update * state
        return state.pow(2).sum(1, keepdim=True)


class GraphNet(nn.Module):
    """Nine nodes of a graph, whose adjacency is constant."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(7, 16), nn.Linear(16, 4)
        self.register_buffer("adjacency", (torch.rand(9, 9).round() + torch.eye(9)) / 5)

    def forward(self, x):
        return self.last(torch.relu(self.adjacency @ self.first(x))).log_softmax(-1)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(20, 8), nn.Linear(4, 20)

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, -1)
        return torch.sigmoid(self.decoder(mean * torch.exp(log_variance / 2)))


class TemporalNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv1d(4, 4, 3, dilation=d, padding=2 * d) for d in (1, 2, 4)])

    def forward(self, x):
        for layer in self.layers:
            x = x + F.silu(layer(x)[..., : x.shape[-1]])
        return x.mean(-1)


class Bert(nn.Module):
    """A small BERT by its embeddings."""

    def __init__(self):
        super().__init__()
        config = BertConfig(
            vocab_size=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=16,
        )
        self.net = BertForSequenceClassification(config)

    def forward(self, x, mask):
        return self.net(inputs_embeds=x, attention_mask=mask).logits


class Recommender(nn.Module):
    """The gradient is by the table of users, of which two rows are read."""

    def __init__(self):
        super().__init__()
        self.users, self.items = nn.Embedding(50, 8), nn.Embedding(80, 8)

    def forward(self, user, item):
        return (self.users(user) * self.items(item)).sum(-1)


def write(name, net, inputs, free=None, at=None):
    """Writes a net, its inputs and its gradient. With `free` the lengths of these axes stay free in the file, which is
    traced with `inputs`, while the gradient is that at the inputs `at`."""
    net.eval()
    names = list(inputs)
    (OUT / name).parent.mkdir(exist_ok=True, parents=True)
    torch.onnx.export(
        net, tuple(inputs.values()), OUT / f"{name}.onnx", input_names=names, output_names=["y"],
        dynamo=False, opset_version=17, dynamic_axes=free,
    )
    inputs = at or inputs
    given = [value.clone().requires_grad_() if value.is_floating_point() else value for value in inputs.values()]
    y = net(*given)
    seed = torch.randn_like(y)
    y.backward(seed)
    values = {name: value.detach().numpy() for name, value in zip(names, given)}
    values["seed"] = seed.numpy()
    if name.endswith("recommender"):
        values["users.weight.gradient"] = net.users.weight.grad.numpy()
    else:
        values["x.gradient"] = given[0].grad.numpy()
    np.savez(OUT / f"{name}.npz", **values)


warnings.filterwarnings("ignore")
torch.manual_seed(0)
write("tabular", Tabular(), {"x": torch.randn(4, 13)})
write("physics", Physics(), {"x": torch.randn(16, 2)})
write("audio", Audio(), {"x": torch.randn(2, 1, 800)})
write("lstm", Lstm(), {"x": torch.randn(2, 5, 6)})
write("gru", Gru(), {"x": torch.randn(2, 4, 6)})
write("graph_net", GraphNet(), {"x": torch.randn(9, 7)})
write("autoencoder", Autoencoder(), {"x": torch.randn(3, 20)})
write("temporal", TemporalNet(), {"x": torch.randn(2, 4, 30)})
write("bert", Bert(), {"x": torch.randn(1, 12, 32), "mask": torch.tensor([[1] * 9 + [0] * 3])})
write("recommender", Recommender(), {"user": torch.tensor([3, 7]), "item": torch.tensor([5, 5])})



class Recurrent(nn.Module):
    """One of PyTorch's recurrent layers, which become one node each."""

    def __init__(self, layer, width, **options):
        super().__init__()
        self.layer = layer(6, width, batch_first=True, **options)
        self.classes = nn.Linear(width * (2 if options.get("bidirectional") else 1), 3)

    def forward(self, x):
        return self.classes(self.layer(x)[0]).square().mean(1)


for name, net in {
    "lstm": Recurrent(nn.LSTM, 7, num_layers=2, bidirectional=True),
    "gru": Recurrent(nn.GRU, 7, bidirectional=True),
    "rnn": Recurrent(nn.RNN, 5, bias=False),
}.items():
    write(f"recurrent/{name}", net, {"x": torch.randn(2, 8, 6)}, {"x": {0: "N"}}, {"x": torch.randn(3, 8, 6)})

# The same with free lengths. T of `audio` is not free in the backward pass: its strides round down.
BATCH = {0: "N"}
write("free/tabular", Tabular(), {"x": torch.randn(4, 13)}, {"x": BATCH}, {"x": torch.randn(6, 13)})
write(
    "free/autoencoder", Autoencoder(), {"x": torch.randn(3, 5, 20)}, {"x": {0: "N", 1: "M"}}, {"x": torch.randn(4, 6, 20)}
)
write("free/temporal", TemporalNet(), {"x": torch.randn(2, 4, 30)}, {"x": {0: "N", 2: "T"}}, {"x": torch.randn(3, 4, 21)})
write("free/audio", Audio(), {"x": torch.randn(2, 1, 800)}, {"x": {0: "N", 2: "T"}}, {"x": torch.randn(3, 1, 800)})
write(
    "free/bert", Bert(), {"x": torch.randn(1, 12, 32), "mask": torch.ones(1, 12, dtype=torch.int64)},
    {"x": {0: "N", 1: "T"}, "mask": {0: "N", 1: "T"}},
    {"x": torch.randn(4, 9, 32), "mask": torch.tensor([[1] * 7 + [0] * 2] * 4)},
)
write(
    "free/recommender", Recommender(), {"user": torch.tensor([3, 7]), "item": torch.tensor([5, 5])},
    {"user": BATCH, "item": BATCH}, {"user": torch.tensor([3, 7, 9]), "item": torch.tensor([5, 5, 8])},
)

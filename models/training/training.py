"""The training loop of all models: seeded, resumable, with a checkpoint after each epoch."""

import argparse
import hashlib
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from photos import Draw, load


def arguments(description, name, **defaults):
    """The command line of the training scripts."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models"))
    parser.add_argument("--name", default=name, help="of the model and its files")
    parser.add_argument("--epochs", type=int, default=defaults["epochs"])
    parser.add_argument("--batch", type=int, default=defaults["batch"])
    parser.add_argument("--lr", type=float, default=defaults["lr"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="bfloat16 convolutions, for processors that have them")
    parser.add_argument("--checkpoint", type=Path, help="default: NAME.pt")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    return parser


def load_parts(options, stored_side, side):
    """Loads TRAIN at the size for augmentation, VAL and TEST at the net's size."""
    parts = load(options.train, stored_side), load(options.val, side), load(options.test, side)
    if not parts[0][2] == parts[1][2] == parts[2][2]:
        raise SystemExit("TRAIN, VAL and TEST have different class folders")
    return parts


@torch.no_grad()
def logits_of(net, photos):
    """Logits [N,classes] for uint8 photos at the net's size."""
    net.eval()
    batches = (net.normalised(batch.float().div(255)) for batch in photos.split(64))
    return torch.cat([net(batch.to(memory_format=torch.channels_last)) for batch in batches])


def accuracy(logits, labels):
    return (logits.argmax(1) == labels).float().mean().item()


def train(net, photos, labels, validation, options, augment, loss_of=None, weight_decay=0.02, average=0.998):
    """Trains `net` and returns the exponential moving average of its weights, with decay `average`.

    `net.normalised` turns photos in 0..=1 into the net's input.

    `augment(photos, targets, draw)` returns the augmented batch and its targets, [N,classes] unless `loss_of` takes others.
    `loss_of(logits, batch, targets)` defaults to cross-entropy.
    """
    loss_of = loss_of or (lambda logits, _, targets: F.cross_entropy(logits, targets))
    classes = int(labels.max()) + 1
    smooth = F.one_hot(labels, classes).float() * 0.9 + 0.1 / classes
    generator = torch.Generator().manual_seed(options.seed)
    trained = [p for p in net.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1]
    plain = [p for p in trained if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}], lr=options.lr
    )
    steps = math.ceil(len(photos) / options.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=options.lr, epochs=options.epochs, steps_per_epoch=steps, pct_start=0.1
    )
    mean = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(average), use_buffers=True
    )
    checkpoint = options.checkpoint or Path(f"{options.name}.pt")
    first = 0
    if options.resume and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if saved["epochs"] != options.epochs:
            raise SystemExit(f"{checkpoint} is of a run of {saved['epochs']} epochs: give --epochs {saved['epochs']}")
        net.load_state_dict(saved["net"])
        mean.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        generator.set_state(saved["generator"])
        torch.set_rng_state(saved["dropout"])
        first = saved["epoch"]
    for epoch in range(first, options.epochs):
        began, total = time.monotonic(), 0.0
        net.train()
        order = torch.randperm(len(photos), generator=generator)
        for chosen in order.split(options.batch):
            if len(chosen) < 2:
                continue
            draw = Draw(len(chosen), generator)
            batch, targets = augment(photos[chosen].float().div(255), smooth[chosen], draw)
            batch = net.normalised(batch).to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
                logits = net(batch)
                loss = loss_of(logits.float(), batch, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            mean.update_parameters(net)
            total += loss.item() * len(chosen)
        print(
            f"epoch {epoch + 1}/{options.epochs}  loss {total / len(photos):.3f}"
            f"  val {accuracy(logits_of(mean.module, validation[0]), validation[1]):.3f}"
            f"  {time.monotonic() - began:.0f} s",
            flush=True,
        )
        state = {
            "net": net.state_dict(),
            "average": mean.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "generator": generator.get_state(),
            "dropout": torch.get_rng_state(),
            "epochs": options.epochs,
            "epoch": epoch + 1,
        }
        half_written = checkpoint.with_suffix(".new")
        torch.save(state, half_written)
        half_written.replace(checkpoint)
    return mean.module


def calibrated(logits, labels):
    """The temperature, as a divisor of the logits, with the smallest cross-entropy (Guo et al. 2017)."""
    temperatures = torch.logspace(-1, 1, 401)
    losses = [F.cross_entropy(logits / temperature, labels).item() for temperature in temperatures]
    return temperatures[losses.index(min(losses))].item()


def calibration_error(logits, labels, bins=15):
    """The expected calibration error (Guo et al. 2017, equation 3)."""
    confidence, predicted = logits.softmax(1).max(1)
    right = (predicted == labels).float()
    bin_of = (confidence * bins).ceil().clamp(1, bins)
    apart = [(right - confidence)[bin_of == b].sum().abs() for b in range(1, bins + 1)]
    return (sum(apart) / len(labels)).item()


def export(net, side, outputs, path):
    """Writes the net as ONNX with a free batch size. The file appears only when it is complete."""
    net = net.eval().to(memory_format=torch.contiguous_format)
    new = path.with_suffix(".new")
    torch.onnx.export(
        net,
        (torch.zeros(1, 3, side, side),),
        new,
        input_names=["image"],
        output_names=outputs,
        dynamic_axes={name: {0: "N"} for name in ["image", *outputs]},
        opset_version=18,
        dynamo=False,
    )
    new.replace(path)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()

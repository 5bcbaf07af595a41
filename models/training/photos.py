"""Loading of class folders, and augmentation."""

import io
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image


def load(folder, side):
    """Loads a folder of class folders: photos as uint8 [N,3,side,side], labels [N], class names."""
    names = sorted(entry.name for entry in Path(folder).iterdir() if entry.is_dir())
    photos, labels = [], []
    for label, name in enumerate(names):
        for path in sorted((Path(folder) / name).iterdir()):
            if path.suffix.lower() not in {".jpg", ".jpeg", ".png"}:
                continue
            photos.append(stretched(path, side))
            labels.append(label)
    if not photos:
        raise SystemExit(f"{folder}: no photos in class folders")
    return torch.from_numpy(np.stack(photos)), torch.tensor(labels), names


def stretched(path, side):
    """A photo as uint8 [3,side,side], stretched to a square."""
    with Image.open(path) as photo:
        square = photo.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(square).transpose(2, 0, 1)


class Draw:
    """Random numbers for one batch."""

    def __init__(self, count, generator):
        self.count, self.generator = count, generator

    def uniform(self, low, high):
        """Uniform numbers [count]."""
        return torch.empty(self.count).uniform_(low, high, generator=self.generator)

    def chance(self, share):
        """Booleans [count], each true with probability `share`."""
        return self.uniform(0, 1) < share

    def per_photo(self, low, high):
        """Uniform numbers [count,1,1,1]."""
        return self.uniform(low, high).view(-1, 1, 1, 1)


def moved(photos, side, draw, area=(0.35, 1.1), ratio=0.29):
    """Rotates by up to 30 degrees, flips, zooms, stretches and shifts. [N,3,h,w] to [N,3,side,side]."""
    angle = draw.uniform(-math.pi / 6, math.pi / 6)
    flip = (draw.uniform(0, 1) < 0.5).float() * 2 - 1
    zoom = draw.uniform(*area).sqrt()
    stretch = draw.uniform(-ratio, ratio).exp().sqrt()
    across, down = zoom * stretch, zoom / stretch
    room_x, room_y = (1 - across).clamp(min=0), (1 - down).clamp(min=0)
    theta = torch.stack(
        [
            torch.stack([angle.cos() * across * flip, -angle.sin() * down, draw.uniform(-1, 1) * room_x], 1),
            torch.stack([angle.sin() * across * flip, angle.cos() * down, draw.uniform(-1, 1) * room_y], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, (len(photos), 3, side, side), align_corners=False)
    return F.grid_sample(photos, grid, padding_mode="reflection", align_corners=False)


def lit(photos, draw, spread=0.3, saturation=(0.6, 1.4)):
    """Changes brightness, contrast and saturation. [N,3,h,w] in 0..=1."""
    brightness = draw.per_photo(1 - spread, 1 + spread)
    contrast = draw.per_photo(1 - spread, 1 + spread)
    saturation = draw.per_photo(*saturation)
    photos = photos * brightness
    mean = photos.mean((1, 2, 3), keepdim=True)
    photos = (photos - mean) * contrast + mean
    grey = photos.mean(1, keepdim=True)
    return ((photos - grey) * saturation + grey).clamp(0, 1)


def seen_badly(photos, draw, share=0.25):
    """Imitates pictures from a camera at a demo. [N,3,h,w] in 0..=1.

    Each change affects about `share` of the photos: coloured light, darkness with noise, bad focus, strong
    JPEG, the pixels and bluish glare of a screen, loss of colour, a hand in front.
    """
    def some(changed):
        return torch.where(draw.chance(share).view(-1, 1, 1, 1), changed, photos)

    side = photos.shape[-1]
    photos = some((photos * torch.stack([draw.per_photo(0.75, 1.25) for _ in range(3)], 1).squeeze(2)).clamp(0, 1))
    dusk = photos * draw.per_photo(0.15, 0.6)
    grain = torch.randn(photos.shape, generator=draw.generator)
    photos = some((dusk + grain * draw.per_photo(0.0, 0.06)).clamp(0, 1))
    photos = some(blurred(photos, draw.uniform(0.5, 3.5)))
    photos = some(photos.mean(1, keepdim=True).expand_as(photos)) if draw.chance(0.3)[0] else photos
    photos = some(on_a_screen(photos, draw))
    photos = hand_in_front(photos, draw, share)
    compressed = draw.chance(share).nonzero().flatten().tolist()
    for index, quality in zip(compressed, draw.uniform(8, 50).long().tolist()):
        photos[index] = through_jpeg(photos[index], quality)
    return photos.view(-1, 3, side, side)


def blurred(photos, sigma):
    """Gaussian blur with one `sigma` per photo, in pixels."""
    reach = torch.arange(-7, 8)
    kernel = torch.exp(-(reach[None] ** 2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    flat = photos.reshape(1, -1, *photos.shape[-2:])
    flat = F.conv2d(F.pad(flat, (7, 7, 0, 0), mode="reflect"), kernel[:, None, None, :], groups=len(kernel))
    flat = F.conv2d(F.pad(flat, (0, 0, 7, 7), mode="reflect"), kernel[:, None, :, None], groups=len(kernel))
    return flat.view_as(photos)


def on_a_screen(photos, draw):
    """Imitates photos shown on a phone: moiré, less contrast, blue light and a glare."""
    side = photos.shape[-1]
    down = torch.linspace(0, 1, side).view(1, 1, -1, 1)
    across = torch.linspace(0, 1, side).view(1, 1, 1, -1)
    waves = sum(
        torch.sin(2 * math.pi * (across * draw.per_photo(-90, 90) + down * draw.per_photo(-90, 90))) for _ in range(2)
    )
    glare = torch.exp(-((across - draw.per_photo(0, 1)) ** 2 + (down - draw.per_photo(0, 1)) ** 2) / 0.05)
    blue = torch.tensor([0.92, 0.98, 1.1]).view(1, 3, 1, 1)
    return (photos * 0.85 * blue * (1 + 0.06 * waves) + 0.08 + glare * draw.per_photo(0, 0.35)).clamp(0, 1)


def hand_in_front(photos, draw, share):
    """Draws fingers that reach in from an edge, as skin-coloured ellipses."""
    side = photos.shape[-1]
    down = torch.linspace(-1, 1, side).view(1, 1, -1, 1)
    across = torch.linspace(-1, 1, side).view(1, 1, 1, -1)
    with_hand = draw.chance(share).view(-1, 1, 1, 1)
    tone = draw.per_photo(0.35, 0.9) * torch.tensor([1.0, 0.76, 0.62]).view(1, 3, 1, 1)
    edge = draw.per_photo(0, 2 * math.pi)
    for _ in range(3):
        angle = edge + draw.per_photo(-0.4, 0.4)
        reach = draw.per_photo(0.75, 1.2)
        x, y = across - angle.cos() * reach, down - angle.sin() * reach
        along, beside = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
        inside = (along / 0.55) ** 2 + (beside / draw.per_photo(0.08, 0.16)) ** 2 < 1
        shade = (1 - 0.35 * (beside / 0.16).abs()).clamp(0.4, 1)
        photos = torch.where(with_hand & inside, tone * shade, photos)
    return photos


def through_jpeg(photo, quality):
    """Compresses one photo [3,h,w] in 0..=1 to JPEG of this quality and decodes it."""
    pixels = Image.fromarray((photo.permute(1, 2, 0) * 255).byte().numpy())
    file = io.BytesIO()
    pixels.save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1).float() / 255


def tiled(photos, targets, draw, share=0.25):
    """Replaces `share` of the batch by 2x2 grids of four photos. The targets become [N,5,classes]: the mean of the four, and
    theirs, which are zeros where the photo is no grid.

    The pointing game uses such grids (Böhle, Fritz and Schiele 2021), and they show several flowers at once.
    """
    count, side = len(photos), photos.shape[-1] // 2
    chosen = draw.chance(share)
    small = F.interpolate(photos, size=(side, side), mode="bilinear", antialias=True)
    mates = [torch.randperm(count, generator=draw.generator) for _ in range(4)]
    rows = [torch.cat([small[mates[row]], small[mates[row + 1]]], 3) for row in (0, 2)]
    grid = torch.cat(rows, 2)
    each = torch.stack([targets[mate] for mate in mates], 1)
    of_grids = torch.cat([each.mean(1, keepdim=True), each], 1)
    of_photos = torch.cat([targets[:, None], torch.zeros_like(each)], 1)
    return torch.where(chosen.view(-1, 1, 1, 1), grid, photos), torch.where(chosen.view(-1, 1, 1), of_grids, of_photos)

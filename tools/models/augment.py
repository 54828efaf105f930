"""Random views of sprites, drawn in whole batches with torch.

A view is a sprite with jittered colours, rotated, scaled, shifted and put on
one of ten kinds of background in one of twelve named colours. Background and
colour are returned too, because captions may name them.
"""

import math

import torch
import torch.nn.functional as F

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
COLOURS = {
    "white": (250, 250, 250), "black": (25, 25, 28), "grey": (140, 140, 145),
    "red": (205, 60, 55), "orange": (240, 150, 60), "yellow": (245, 220, 90),
    "green": (95, 175, 90), "teal": (60, 160, 160), "blue": (75, 125, 215),
    "purple": (140, 95, 190), "pink": (240, 160, 190), "brown": (135, 95, 65),
}
KINDS = ("plain", "gradient", "striped", "checkered", "dotted", "noisy",
         "cloudy", "grid", "radial", "wavy")


def background(kind, colour, side, rng):
    """One [3, side, side] background; rng is a torch Generator."""
    rand = lambda *s: torch.rand(*s, generator=rng)
    base = torch.tensor(COLOURS[colour]).float() / 255
    other = base + (0.12 + 0.25 * rand(1)) * (1 if base.mean() < 0.5 else -1)
    y, x = torch.meshgrid(torch.linspace(-1, 1, side),
                          torch.linspace(-1, 1, side), indexing="ij")
    turn, freq = rand(1) * math.pi, 2 + 4 * rand(1)
    along = x * torch.cos(turn) + y * torch.sin(turn)
    across = y * torch.cos(turn) - x * torch.sin(turn)
    if kind == "plain":
        mix = torch.zeros_like(x)
    elif kind == "gradient":
        mix = along / 2 + 0.5
    elif kind == "striped":
        mix = (torch.sin(along * freq * math.pi) > 0).float()
    elif kind == "checkered":
        mix = ((torch.sin(along * freq * 3) > 0)
               ^ (torch.sin(across * freq * 3) > 0)).float()
    elif kind == "dotted":
        mix = (torch.sin(along * freq * 4) * torch.sin(across * freq * 4)
               > 0.4).float()
    elif kind == "noisy":
        mix = rand(side, side)
    elif kind == "cloudy":
        mix = F.interpolate(rand(1, 1, 5, 5), size=(side, side),
                            mode="bicubic")[0, 0]
    elif kind == "grid":
        mix = ((torch.cos(along * freq * 4) > 0.9)
               | (torch.cos(across * freq * 4) > 0.9)).float()
    elif kind == "radial":
        mix = (x - rand(1) + 0.5) ** 2 + (y - rand(1) + 0.5) ** 2
    else:
        mix = (torch.sin(along * freq * 3 + 1.5 * torch.sin(across * 5))
               + 1) / 2
    mix = mix.clamp(0, 1)
    return (base[:, None, None] * (1 - mix)
            + other[:, None, None] * mix).clamp(0, 1)


def background_bank(side, copies, rng):
    """All kinds x colours x copies as uint8 [K, 3, side, side], and tags."""
    images, tags = [], []
    for kind in KINDS:
        for colour in COLOURS:
            for _ in range(copies):
                images.append(background(kind, colour, side, rng))
                tags.append((kind, colour))
    return (torch.stack(images) * 255).round().to(torch.uint8), tags


def premultiply(sprites, side):
    """uint8 RGBA [N, S, S, 4] (numpy) -> uint8 [N, 4, side, side]."""
    out = []
    for start in range(0, len(sprites), 512):
        x = torch.tensor(sprites[start:start + 512]).permute(0, 3, 1, 2)
        x = x.float() / 255
        x = torch.cat([x[:, :3] * x[:, 3:], x[:, 3:]], 1)
        x = F.interpolate(x, size=(side, side), mode="bicubic",
                          antialias=True, align_corners=False)
        out.append((x.clamp(0, 1) * 255).round().to(torch.uint8))
    return torch.cat(out)


def colour_matrices(n, strength, rng):
    """Per image 3x3: brightness x saturation x hue rotation; 6 % grey."""
    rand = lambda *s: torch.rand(*s, generator=rng)
    spread = lambda low, high: 1 + strength * (low + (high - low) * rand(n))
    grey = torch.full((3, 3), 1 / 3)
    turn = (rand(n) * 2 - 1) * 0.6 * strength * (rand(n) < 0.35)
    cos, sin = torch.cos(turn)[:, None, None], torch.sin(turn)[:, None, None]
    cross = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    hue = cos * torch.eye(3) + (1 - cos) * grey + sin * cross
    sat = spread(-0.4, 0.4) * (rand(n) >= 0.06 * strength)
    sat = sat[:, None, None]
    mix = sat * torch.eye(3) + (1 - sat) * grey
    return spread(-0.25, 0.25)[:, None, None] * (mix @ hue)


def placements(n, strength, flippable, rng):
    """Inverse affine maps [n, 2, 3] for grid_sample."""
    sym = lambda: torch.rand(n, generator=rng) * 2 - 1
    turn = sym() * math.radians(20) * strength
    scale = (1 - strength) * 0.97 + strength * (0.85 + 0.30 * sym())
    aspect = torch.exp(sym() * 0.12 * strength)
    flip = torch.rand(n, generator=rng) < 0.5
    sign = torch.where(flip & flippable, -1.0, 1.0)
    room = (1.15 - scale).clamp(min=0.05) * strength
    cos, sin = torch.cos(turn), torch.sin(turn)
    sx, sy = sign / (scale * aspect), aspect / scale
    a = torch.stack([torch.stack([cos * sx, sin * sx], 1),
                     torch.stack([-sin * sy, cos * sy], 1)], 1)
    shift = torch.stack([sym() * room, sym() * room], 1)[:, :, None]
    return torch.cat([a, -a @ shift], 2)


def views(sprites, flippable, bank, strength, rng):
    """sprites uint8 [B, 4, S, S] premultiplied -> ([B, 3, S, S] normalised
    float32, index of each view's background in the bank). strength is in
    [0, 1]: 0 is an upright sprite on white. bank is (images, white indices).
    """
    n = len(sprites)
    rand = lambda *s: torch.rand(*s, generator=rng)
    images, whites = bank
    x = sprites.float().div_(255)
    matrices = colour_matrices(n, strength, rng)
    rgb = (matrices @ x[:, :3].flatten(2)).view_as(x[:, :3])
    x = torch.cat([torch.minimum(rgb.clamp_(min=0), x[:, 3:]), x[:, 3:]], 1)
    grid = F.affine_grid(placements(n, strength, flippable, rng),
                         list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False)
    pick = torch.randint(len(images), (n,), generator=rng)
    calm = whites[torch.randint(len(whites), (n,), generator=rng)]
    pick = torch.where(rand(n) < strength, pick, calm)
    ground = images[pick].float().div_(255)
    out = x[:, :3] + (1 - x[:, 3:]) * ground

    line = (rand(n) < 0.06 * strength).nonzero()[:, 0]
    if len(line):
        out[line] = line_art(out[line])
    soft = (rand(n) < 0.15 * strength).nonzero()[:, 0]
    if len(soft):
        out[soft] = F.avg_pool2d(F.pad(out[soft], (1,) * 4, "replicate"), 3, 1)
    rough = (rand(n) < 0.4 * strength).nonzero()[:, 0]
    if len(rough):
        noise = torch.randn(out[rough].shape, generator=rng)
        out[rough] += noise * (0.06 * rand(len(rough), 1, 1, 1))
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return (out.clamp_(0, 1) - mean) / std, pick


def line_art(images):
    """Dark edges on white: the magnitude of the Sobel gradient, inverted."""
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
    kernel = torch.stack([kernel, kernel.T])[:, None]
    grey = F.pad(images.mean(1, keepdim=True), (1,) * 4, "replicate")
    edge = F.conv2d(grey, kernel).norm(dim=1, keepdim=True)
    return (1 - edge).clamp(0, 1).expand(-1, 3, -1, -1)

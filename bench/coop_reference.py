"""CoOp as its authors' loop does it, in plain PyTorch on open_clip: what
promptd's accuracy and speed are compared with.

usage: coop_reference.py ENCODER_FOLDER [--classes 10] [--image-loop]
                         [--class-specific] [--position end] [-M 16]
                         [--init "a photo of a"] [--batch 32] [--steps 5]

As a library (coop_vs_reference.py, coop_recipe.py): PromptLearner, train() and
score(). As a program it prints how long the parts of a step take on random
images.

Every option of the paper: one context for all classes or one for each (CSC);
the class name at the end, in the middle or in front; M vectors, random or
words. Every step runs all C prompts at 77 tokens through the text tower with
autograd and takes one step of torch.optim.SGD. Images come either as pixels,
encoded in every step without a gradient (the authors' loop), or as features
that were computed before. The encoder is frozen: only the context has a
gradient.
"""

import argparse
import math
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools/goldens"))

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

import reference  # noqa: E402

POSITIONS = ("end", "middle", "front")
EPOCHS = {1: 50, 2: 100, 4: 100, 8: 200, 16: 200}  # by shots


def load(folder):
    """(frozen open_clip model, its tokenizer) of an encoder folder."""
    model, _, merges = reference.load_folder(folder)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model, reference.tokenizer(merges)


def plain(name):
    return name.replace("_", " ")


class PromptLearner(torch.nn.Module):
    """The context and the frozen pieces of every class's prompt."""

    def __init__(self, model, tokenizer, names, tokens=16, position="end",
                 class_specific=False, init="", generator=None):
        super().__init__()
        if position not in POSITIONS:
            raise ValueError(f"position {position}: one of {POSITIONS}")
        words = tokenizer.encode(plain(init)) if init else []
        # Of words, M is the number of their tokens.
        self.tokens = len(words) or tokens
        self.position = position
        embed = model.token_embedding
        width = embed.weight.shape[1]
        shape = (len(names), self.tokens, width) if class_specific else (
            self.tokens, width)
        if words:
            start = embed(torch.tensor(words)).expand(shape).clone()
        else:
            start = 0.02 * torch.randn(shape, generator=generator)
        self.context = torch.nn.Parameter(start)
        names = [plain(name) for name in names]
        self.name_tokens = [len(tokenizer.encode(name)) for name in names]
        ids = tokenizer(["X " * self.tokens + name + "." for name in names])
        self.eot = ids.argmax(-1)
        # [C, 77, W]; the rows of the X's are never read.
        self.embedded = embed(ids).detach()

    def cut(self):
        """Ends all texts behind the last EOT, which no token behind it
        reaches: the same features up to rounding."""
        self.embedded = self.embedded[:, :self.eot.max() + 1]

    def prompts(self):
        """[C, 77, W]"""
        m, rows = self.tokens, self.embedded
        context = self.context
        if context.dim() == 2:
            context = context.expand(len(rows), -1, -1)
        if self.position == "end":
            return torch.cat([rows[:, :1], context, rows[:, 1 + m:]], 1)
        before = m // 2 if self.position == "middle" else 0
        out = []
        for row, vectors, count in zip(rows, context, self.name_tokens):
            name = row[1 + m:1 + m + count]
            out.append(torch.cat([row[:1], vectors[:before], name,
                                  vectors[before:], row[1 + m + count:]]))
        return torch.stack(out)


def text_features(model, learner):
    """Unit rows [C, E] from all of the learner's tokens, 77 unless cut."""
    x = learner.prompts()
    length = x.shape[1]
    x = x + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)[torch.arange(len(learner.eot)), learner.eot]
    return F.normalize(x @ model.text_projection, dim=-1)


@torch.no_grad()
def image_features(model, pixels):
    """Unit rows [B, E]."""
    return F.normalize(model.encode_image(pixels), dim=-1)


def step(model, learner, optimizer, images, labels):
    """One SGD step on unit image features [B, E]; the loss."""
    scale = model.logit_scale.exp()
    logits = scale * images @ text_features(model, learner).t()
    loss = F.cross_entropy(logits, labels)
    if not torch.isfinite(loss):
        raise FloatingPointError("the loss is not finite")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def official_step(model, learner, optimizer, pixels, labels):
    """The authors' step: the batch's images are encoded in it."""
    return step(model, learner, optimizer, image_features(model, pixels),
                labels)


def sgd(learner, momentum=0.9, weight_decay=5e-4):
    return torch.optim.SGD([learner.context], lr=0.0, momentum=momentum,
                           weight_decay=weight_decay)


def learning_rate(epoch, epochs, base, warmup=1e-5):
    """Cosine over `epochs` behind one epoch of a constant rate, as Dassl's
    ConstantWarmupScheduler steps it."""
    if epoch == 0:
        return warmup
    return base / 2 * (1 + math.cos(math.pi * (epoch - 1) / epochs))


def train(model, learner, images_of, labels, epochs, base_rate, order_of,
          batch=32):
    """The whole recipe. images_of(epoch, rows) gives unit features [B, E] of
    those training images in that epoch: cached ones, or encoded there and
    then. order_of(N) draws a permutation for an epoch; the last incomplete
    batch is left out unless it is the only one."""
    optimizer = sgd(learner)
    count = len(labels)
    size = min(batch, count)
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = learning_rate(epoch, epochs,
                                                        base_rate)
        order = order_of(count)
        for first in range(0, count - size + 1, size):
            rows = order[first:first + size]
            step(model, learner, optimizer, images_of(epoch, rows),
                 labels[rows])
    return learner.context.detach()


@torch.no_grad()
def score(model, learner, images, labels):
    """Accuracy of unit image features, 0 to 1."""
    answers = (images @ text_features(model, learner).t()).argmax(1)
    return (answers == labels).float().mean().item()


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def class_names(count):
    """Made-up names of two or three words."""
    kinds = ["red", "small", "old", "striped", "wooden"]
    things = ["fox", "lamp", "tower", "apple", "boat", "train", "flower",
              "drum", "castle", "horse"]
    return [f"{kinds[i // 10 % 5]} {things[i % 10]}"
            + (" toy" if i % 2 else "") + (" set" if i >= 50 else "")
            for i in range(count)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--image-loop", action="store_true")
    parser.add_argument("--class-specific", action="store_true")
    parser.add_argument("--position", choices=POSITIONS, default="end")
    parser.add_argument("-M", "--context-tokens", type=int, default=16)
    parser.add_argument("--init", default="")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, tokenizer = load(args.encoder)
    learner = PromptLearner(model, tokenizer, class_names(args.classes),
                            args.context_tokens, args.position,
                            args.class_specific, args.init)
    optimizer = sgd(learner)
    side = model.visual.image_size
    side = side if isinstance(side, int) else side[0]
    pixels = torch.randn(args.batch, 3, side, side)
    labels = torch.arange(args.batch) % args.classes
    cached = image_features(model, pixels)
    for _ in range(args.steps):
        if args.image_loop:
            seconds = timed(lambda: official_step(model, learner, optimizer,
                                                  pixels, labels))
        else:
            seconds = timed(lambda: step(model, learner, optimizer, cached,
                                         labels))
        print(f"step {1e3 * seconds:.0f} ms", flush=True)


if __name__ == "__main__":
    main()

"""Trains an embedded encoder from nothing on a CPU, by the clock.

usage: train.py WORK_DIR [--architecture embedded] [--minutes 70] [--seed 1]
                [--batch 256] [--run run] [--text-from ENCODER]

Reads WORK_DIR/sprites; writes WORK_DIR/run/{ema.pt,state.pt,log.jsonl} every
few minutes. The learning rate falls with the wall time, so the run ends
on time on any machine; a run that was stopped goes on from state.pt.

--text-from takes the text tower of a finished encoder and keeps it as it is
(as LiT does, Zhai et al. 2022, with the towers' parts swapped): only the image
tower learns, and the concept's identity is told by the names' features.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import clip_model
import export
import pairs
import sources

PEAK_RATE = 1.5e-3
WARM_UP_STEPS = 120
EASY_STEPS = 300  # upright sprites on white fade out; fillers come after
AUX_WEIGHT = 0.5
GROUPED = 0.25  # share of a batch in fours of one concept
AUX_SCALE = 16.0
STRENGTH = (0.6, 0.9)  # of the augmentation: most of the run, its end
FILLERS_UP_TO = 20
TEXT_PARTS = 4  # captions of one part share a prefix


class TextSide:
    """Tokenises captions and runs them behind shared filler prefixes."""

    def __init__(self, merges, seed):
        self.tokenizer = clip_model.tokenizer(merges)
        self.sot = self.tokenizer.sot_token_id
        self.eot = self.tokenizer.eot_token_id
        self.rng = random.Random(seed)
        self.noise = torch.Generator().manual_seed(seed)

    def tokens(self, text):
        return self.tokenizer.encode(text)[:50] + [self.eot]

    def prefix(self, model, fillers):
        """SOT and, when asked, 1..20 fillers: random tokens, the letter x,
        or vectors like a freshly initialised learned context."""
        table = model.token_embedding.weight
        kind, count = self.rng.random(), self.rng.randint(1, FILLERS_UP_TO)
        if not fillers or kind < 0.35:
            return table[[self.sot]]
        if kind < 0.65:
            ids = torch.randint(512 + clip_model.MERGES, (count,),
                                generator=self.noise)
            return table[torch.cat([torch.tensor([self.sot]), ids])]
        if kind < 0.80:
            x = self.tokenizer.encode("x")
            return table[[self.sot] + x * count]
        vectors = torch.randn(count, table.shape[1], generator=self.noise)
        return torch.cat([table[[self.sot]], 0.02 * vectors])

    def encode(self, model, texts, fillers, parts=TEXT_PARTS):
        """[B, E] features, not normalised, in the order of texts."""
        tokens = [self.tokens(text) for text in texts]
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        size = math.ceil(len(order) / parts)
        out = []
        for start in range(0, len(order), size):
            part = [tokens[i] for i in order[start:start + size]]
            out.append(clip_model.encode_after_prefix(
                model, self.prefix(model, fillers),
                *clip_model.pack(part, self.eot)))
        back = torch.tensor(order).argsort()
        return torch.cat(out)[back]


def losses(model, aux, text_side, images, texts, labels, fillers):
    """Symmetric InfoNCE, and cross-entropy on the concept's identity."""
    image = F.normalize(model.encode_image(
        images.contiguous(memory_format=torch.channels_last)), dim=-1)
    text = F.normalize(text_side.encode(model, texts, fillers), dim=-1)
    logits = model.logit_scale.exp() * image @ text.T
    truth = torch.arange(len(logits))
    contrast = (F.cross_entropy(logits, truth)
                + F.cross_entropy(logits.T, truth)) / 2
    names = AUX_SCALE * image @ F.normalize(aux, dim=-1).T
    hit = (logits.argmax(1) == truth).float().mean().item()
    return contrast, F.cross_entropy(names, labels), hit


@torch.no_grad()
def retrieval(model, text_side, images, labels):
    """Share of images whose own label is the nearest of all, in percent."""
    model.eval()
    image = F.normalize(model.encode_image(
        images.contiguous(memory_format=torch.channels_last)), dim=-1)
    text = F.normalize(text_side.encode(
        model, [f"a photo of a {label}." for label in labels], False, 1),
        dim=-1)
    best = (image @ text.T).argmax(1)
    return 100 * (best == torch.arange(len(best))).float().mean().item()


def retrieval_tests(source, strength=1.0):
    """256-way tests: trained styles, each unseen style, unseen concepts."""
    def test(styles, concepts, seed):
        return source.retrieval_set(styles, concepts, 256, seed, strength)

    roles = {role: [s.name for s in sources.STYLES if s.role == role]
             for role in ("train", "unseen", "eval")}
    unknown = [c for c in source.sprites.concepts if c not in source.index]
    tests = {"trained": test(roles["train"], source.ids, 11)}
    for style in roles["unseen"] + roles["eval"]:
        tests[style] = test([style], source.ids, 12)
    tests["new-concepts"] = test(roles["train"], unknown, 13)
    return tests


def strength(step, progress):
    """Of the augmentation: easy at first, hardest at the end."""
    low, high = STRENGTH
    late = min(1.0, max(0.0, (progress - 0.5) / 0.4))
    return min(1.0, step / EASY_STEPS) * (low + (high - low) * late)


class Average:
    """Exponential moving average of parameters and buffers."""

    def __init__(self, model, decay=0.995):
        self.decay, self.steps = decay, 0
        self.values = {k: v.detach().clone()
                       for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model):
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                self.values[key].lerp_(value, 1 - keep)
            else:
                self.values[key].copy_(value)


def start(args, source, text_side):
    """(model, [concepts, E] vectors of the concepts' identities)."""
    model = clip_model.build(clip_model.ARCHITECTURES[args.architecture])
    if args.text_from is None:
        return model, torch.nn.Parameter(
            0.05 * torch.randn(len(source.ids), clip_model.EMBED_DIM))
    donor = export.load_encoder(args.text_from)[0]
    own = {key: value for key, value in donor.state_dict().items()
           if not key.startswith("visual.")}
    left = model.load_state_dict(own, strict=False)
    if left.unexpected_keys or any(not key.startswith("visual.")
                                   for key in left.missing_keys):
        raise SystemExit(f"train: {args.text_from}: another text tower")
    for name, parameter in model.named_parameters():
        if not name.startswith("visual.") and name != "logit_scale":
            parameter.requires_grad_(False)
    return model, names_features(model, source, text_side)


@torch.no_grad()
def names_features(model, source, text_side, draws=4):
    """The mean text feature of each trained concept's label, behind
    different fillers; fixed, so without gradient."""
    texts = [f"a photo of a {source.sprites.concepts[c]['label']}."
             for c in source.ids]
    every = [F.normalize(text_side.encode(model, texts, n > 0), dim=-1)
             for n in range(draws)]
    return sum(every) / draws


def optimizer_for(model, aux):
    learnt = [p for p in [*model.parameters(), aux] if p.requires_grad]
    matrices = [p for p in learnt if p.ndim >= 2]
    others = [p for p in learnt if p.ndim < 2]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1},
         {"params": others, "weight_decay": 0.0}],
        lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-6, fused=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--run", default="run")
    parser.add_argument("--architecture", default="embedded",
                        choices=sorted(clip_model.ARCHITECTURES))
    parser.add_argument("--text-from", type=Path)
    parser.add_argument("--save-every", type=float, default=240)
    args = parser.parse_args()
    run = args.work / args.run
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(min(8, torch.get_num_threads()))
    torch.manual_seed(args.seed)

    side = clip_model.IMAGE_SIDE
    source = pairs.Pairs(pairs.Sprites(args.work / "sprites", side), side,
                         args.seed)
    clip_model.write_merges(run / "merges.txt")
    text_side = TextSide(run / "merges.txt", args.seed)
    model, aux = start(args, source, text_side)
    optimizer = optimizer_for(model, aux)
    average = Average(model)
    tests = retrieval_tests(source)
    step, spent = 0, 0.0
    if (run / "state.pt").exists():
        state = torch.load(run / "state.pt")
        step, spent = state["step"], state["spent"]
        model.load_state_dict(state["model"])
        aux.data.copy_(state["aux"])
        optimizer.load_state_dict(state["optimizer"])
        average.values, average.steps = state["ema"], step
    print(f"train: {len(source.ids)} concepts, "
          f"{sum(map(len, source.by_concept.values()))} sprites, "
          f"from step {step}, {spent:.0f} s spent", flush=True)

    began, saved, sums = time.time() - spent, time.time(), []
    while True:
        spent = time.time() - began
        progress = min(1.0, spent / (60 * args.minutes))
        rate = PEAK_RATE * min(1, (step + 1) / WARM_UP_STEPS) * (1 - progress)
        for group in optimizer.param_groups:
            group["lr"] = rate
        images, texts, labels = source.batch(
            args.batch, strength(step, progress),
            0.06 if step < 200 else GROUPED)
        model.train()
        contrast, named, hit = losses(
            model, aux, text_side, images, texts, labels,
            fillers=step >= EASY_STEPS)
        weight = AUX_WEIGHT * (1 if progress < 0.65
                               else max(0.1, (1 - progress) / 0.35))
        optimizer.zero_grad()
        (contrast + weight * named).backward()
        torch.nn.utils.clip_grad_norm_(
            [p for p in [*model.parameters(), aux] if p.requires_grad], 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        average.update(model)
        step += 1
        sums.append((contrast.item(), named.item(), hit))
        done = progress >= 1
        if done or time.time() - saved > args.save_every:
            saved = time.time()
            report(run, model, average, text_side, tests, sums, step, spent)
            torch.save({"step": step, "spent": time.time() - began,
                        "model": model.state_dict(), "aux": aux.data,
                        "optimizer": optimizer.state_dict(),
                        "ema": average.values}, run / "state.pt")
            sums = []
        if done:
            break


def report(run, model, average, text_side, tests, sums, step, spent):
    """Saves the averaged weights and appends one line of figures."""
    torch.save(average.values, run / "ema.pt")
    own = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(average.values)
    line = {name: round(retrieval(model, text_side, *test), 1)
            for name, test in tests.items()}
    model.load_state_dict(own)
    mean = [sum(column) / len(sums) for column in zip(*sums)]
    line.update(step=step, seconds=round(spent), loss=round(mean[0], 3),
                aux=round(mean[1], 3), hit=round(100 * mean[2], 1),
                scale=round(model.logit_scale.exp().item(), 2))
    with open(run / "log.jsonl", "a") as log:
        log.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

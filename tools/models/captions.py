"""Captions for sprites: which words the text tower reads."""

import hashlib

TEMPLATES = (
    "a photo of a {}.", "{}", "a {}", "{}.", "an emoji of a {}.",
    "an icon of a {}.", "a picture of a {}.", "a drawing of a {}.",
    "an image of the {}.", "a sticker of a {}.", "this is a {}.",
    "a small {}.", "art of the {}.", "the {}.",
)
STYLE_WORDS = {
    "noto": ("noto", "shiny", "google"), "twemoji": ("twitter", "clean"),
    "notov1": ("blob", "soft"), "fluentflat": ("flat", "fluent flat"),
    "fluent3d": ("3d", "gradient"),
}
# How often a group of concepts is drawn, per concept. Flags, signs, gestures
# and faces are many and near-identical, and in none of the tasks.
GROUP_WEIGHT = {"flags": 0.03, "symbols": 0.1, "people-body": 0.2,
                "smileys-emotion": 0.5}


def family(concept):
    """Concepts that differ in gender or in a detail after ':' are one."""
    label = concept["label"].split(":")[0].lower()
    for word in ("woman", "man", "person", "women", "men", "people"):
        label = " ".join("_" if w == word else w for w in label.split())
    return label


def held_out(concept, percent=6):
    """True for a fixed, pseudo-random share of families."""
    digest = hashlib.sha256(b"promptd:" + family(concept).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < percent


def name_of(concept, rng):
    """A name for the concept; rng is a random.Random."""
    pick, tags = rng.random(), concept["tags"]
    if pick < 0.54 or not tags:
        return concept["label"]
    if pick < 0.66 and concept["names"]:
        return rng.choice(concept["names"]).replace("_", " ")
    if pick < 0.86:
        return rng.choice(tags)
    extra = rng.sample(tags, min(len(tags), rng.choice((1, 2))))
    return ", ".join([concept["label"]] + extra)


def caption(concept, style, ground, contrast, rng):
    """One caption. ground is (kind, colour) of the background; contrast asks
    for the style and the background, to tell looks of one concept apart."""
    text = rng.choice(TEMPLATES).format(name_of(concept, rng))
    look = rng.random()
    words = rng.choice(STYLE_WORDS[style])
    place = f"on a {ground[0]} {ground[1]} background"
    if contrast and look < 0.6:
        return f"{words} {text}"
    if contrast or look < 0.04:
        return f"{words} {text.rstrip('.')} {place}."
    if look < 0.14:
        return f"{words} {text}"
    if look < 0.24:
        return f"{text.rstrip('.')} {place}."
    if look < 0.28:
        return f"something {words} {place}."
    return text

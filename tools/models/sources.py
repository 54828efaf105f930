"""The art: which emoji sets there are, their licences, and their role.

A *concept* is one emoji (skin tones left out), a *style* is one set, and a
*sprite* is one concept drawn in one style. Styles with role "train" are shown
to the encoder; styles with role "unseen" never are, and exist so that tasks
can ask about drawings the encoder has not met; "eval" styles are only ever
measured on and never shipped in any form.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Style:
    name: str
    package: str
    role: str  # "train", "unseen" or "eval"
    licence: str  # SPDX, of the art and not of the packaging
    credit: str


STYLES = [
    Style("noto", "emoji-datasource-google", "train", "Apache-2.0",
          "Noto Emoji, Google"),
    Style("twemoji", "emoji-datasource-twitter", "train", "CC-BY-4.0",
          "Twemoji, Twitter, Inc. and other contributors"),
    Style("notov1", "@iconify-json/noto-v1", "train", "Apache-2.0",
          "Noto Emoji (first design), Google"),
    Style("fluentflat", "@iconify-json/fluent-emoji-flat", "train", "MIT",
          "Fluent Emoji (flat), Microsoft Corporation"),
    Style("fluent3d", "@iconify-json/fluent-emoji", "train", "MIT",
          "Fluent Emoji (colour), Microsoft Corporation"),
    Style("emojione", "@iconify-json/emojione", "unseen", "CC-BY-4.0",
          "EmojiOne 2.3 / EmojiTwo contributors"),
    Style("fxemoji", "@iconify-json/fxemoji", "unseen", "Apache-2.0",
          "FxEmojis, Mozilla Foundation"),
    Style("streamline", "@iconify-json/streamline-emojis", "unseen",
          "CC-BY-4.0", "Streamline Emojis, Streamline"),
    Style("fluenthc", "@iconify-json/fluent-emoji-high-contrast", "unseen",
          "MIT", "Fluent Emoji (high contrast), Microsoft Corporation"),
    Style("openmoji", "@iconify-json/openmoji", "eval", "CC-BY-SA-4.0",
          "OpenMoji contributors"),
]
STYLE_BY_NAME = {style.name: style for style in STYLES}


def _bare(hexcode):
    return "-".join(p for p in hexcode.upper().split("-") if p != "FE0F")


def _slug(text):
    text = unicodedata.normalize("NFKD", text)
    text = text.encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", text.replace("'", "")).strip("-")


def load_concepts(npm):
    """Every concept as a dict: id, label, names, tags, group, subgroup."""
    base = Path(npm) / "node_modules" / "emojibase-data"
    meta = json.loads((base / "meta/groups.json").read_text())
    codes = {}
    for table in ("emojibase", "github", "iamcal"):
        path = base / "en/shortcodes" / f"{table}.json"
        for key, value in json.loads(path.read_text()).items():
            value = [value] if isinstance(value, str) else value
            codes.setdefault(_bare(key), []).extend(value)
    concepts = []
    for entry in json.loads((base / "en/data.json").read_text()):
        if "group" not in entry or entry["group"] == 2:
            continue  # regional indicators, skin tones and hair components
        hexcode = _bare(entry["hexcode"])
        concepts.append({
            "id": hexcode.lower(),
            "label": entry["label"],
            "slug": _slug(entry["label"]),
            "names": sorted(set(codes.get(hexcode, []))),
            "tags": entry.get("tags", []),
            "group": meta["groups"][str(entry["group"])],
            "subgroup": meta["subgroups"][str(entry["subgroup"])],
        })
    return concepts


def _load_set(npm, package):
    root = Path(npm) / "node_modules" / package
    icons = json.loads((root / "icons.json").read_text())
    chars = json.loads((root / "chars.json").read_text())
    return icons, {_bare(k): v for k, v in chars.items()}


def _unicode_names(npm):
    """hexcode -> the character's formal name, where it is one character."""
    path = Path(npm) / "node_modules/emoji-datasource-google/emoji.json"
    return {_bare(e["unified"]): e["name"] or ""
            for e in json.loads(path.read_text())}


def find_art(npm, concepts):
    """style name -> {concept id: ("png", path) or ("svg", text)}."""
    art = {}
    for style in STYLES:
        if style.package.startswith("emoji-datasource"):
            art[style.name] = _find_png(npm, style)
        else:
            art[style.name] = _find_svg(npm, style, concepts)
    known = {c["id"] for c in concepts}
    return {s: {k: v for k, v in found.items() if k in known}
            for s, found in art.items()}


def _find_png(npm, style):
    root = Path(npm) / "node_modules" / style.package
    folder = root / "img" / style.package.rsplit("-", 1)[1] / "64"
    return {_bare(e["unified"]).lower(): ("png", str(folder / e["image"]))
            for e in json.loads((root / "emoji.json").read_text())
            if (folder / e["image"]).exists()}


def _find_svg(npm, style, concepts):
    icons, chars = _load_set(npm, style.package)
    if style.name == "fluent3d":  # same icon names, but no character map
        chars = _load_set(npm, STYLE_BY_NAME["fluentflat"].package)[1]
    formal = _unicode_names(npm)
    names = dict.fromkeys(icons["icons"])
    names.update((k, v["parent"]) for k, v in icons.get("aliases", {}).items())
    squashed = {}
    for name in names:
        squashed.setdefault(re.sub(r"-\d$", "", name).replace("-", ""), name)
    found = {}
    for concept in concepts:
        key = concept["id"].upper()
        name = chars.get(key)
        if name is None and not chars:
            options = [concept["slug"], _slug(formal.get(key, ""))]
            if style.name in ("fxemoji", "streamline"):
                options += [_slug(n) for n in concept["names"]]
            name = next((o for o in options if o in names), None)
            if name is None:
                hits = (squashed.get(o.replace("-", "")) for o in options if o)
                name = next((h for h in hits if h), None)
        if name is None or name not in names:
            continue
        icon = icons["icons"].get(names[name] or name)
        if icon is None:
            continue
        width = icon.get("width", icons.get("width", 16))
        height = icon.get("height", icons.get("height", 16))
        found[concept["id"]] = ("svg", (
            '<svg xmlns="http://www.w3.org/2000/svg" '
            'xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} '
            f'{width} {height}">{icon["body"]}</svg>'
        ).replace("currentColor", "#202020"))
    return found

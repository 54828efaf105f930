"""Strings to tokenize, stratified: every stratum is a way in which text is
made, every string comes from one seeded generator.

strata() names them; corpus(count, seed, names) yields (stratum, text).
"""

import html.entities
import random
import unicodedata

TEMPLATES = ["a photo of a {}.", "X X X X {}.", "{}", "itap of the {}!",
             "a {} (close-up).", "A Bad Photo Of The {}...",
             "\u201ca {}\u201d", "it\u2019s a {}, isn\u2019t it?"]
# First and last code point of runs of letters (with marks, digits and signs of
# the script in between).
SCRIPTS = {
    "latin": (0x41, 0x5a), "latin small": (0x61, 0x7a),
    "latin-1": (0xa1, 0xff), "latin extended": (0x100, 0x24f),
    "phonetic": (0x250, 0x2ff), "greek": (0x370, 0x3ff),
    "cyrillic": (0x400, 0x4ff), "armenian": (0x531, 0x58a),
    "hebrew": (0x591, 0x5f4), "arabic": (0x600, 0x6ff),
    "syriac": (0x700, 0x74f), "thaana": (0x780, 0x7b1),
    "nko": (0x7c0, 0x7fa), "devanagari": (0x900, 0x97f),
    "bengali": (0x980, 0x9fe), "gurmukhi": (0xa01, 0xa76),
    "gujarati": (0xa81, 0xaff), "oriya": (0xb01, 0xb77),
    "tamil": (0xb82, 0xbfa), "telugu": (0xc00, 0xc7f),
    "kannada": (0xc80, 0xcf2), "malayalam": (0xd00, 0xd7f),
    "sinhala": (0xd81, 0xdf4), "thai": (0xe01, 0xe5b),
    "lao": (0xe81, 0xedf), "tibetan": (0xf00, 0xfda),
    "myanmar": (0x1000, 0x109f), "georgian": (0x10a0, 0x10ff),
    "jamo": (0x1100, 0x11ff), "ethiopic": (0x1200, 0x137c),
    "cherokee": (0x13a0, 0x13fd), "canadian": (0x1400, 0x167f),
    "khmer": (0x1780, 0x17f9), "mongolian": (0x1800, 0x18aa),
    "balinese": (0x1b00, 0x1b7c), "latin additional": (0x1e00, 0x1eff),
    "greek extended": (0x1f00, 0x1ffe), "letterlike": (0x2100, 0x218b),
    "enclosed": (0x2460, 0x24ff), "glagolitic": (0x2c00, 0x2c5f),
    "coptic": (0x2c80, 0x2cff), "kana": (0x3041, 0x30ff),
    "bopomofo": (0x3105, 0x312f), "cjk": (0x4e00, 0x9fff),
    "yi": (0xa000, 0xa48c), "vai": (0xa500, 0xa62b),
    "hangul": (0xac00, 0xd7a3), "cjk compatibility": (0xf900, 0xfad9),
    "presentation": (0xfb00, 0xfdff), "arabic forms": (0xfe70, 0xfefc),
    "gothic": (0x10330, 0x1034a), "deseret": (0x10400, 0x1044f),
    "brahmi": (0x11000, 0x1106f), "adlam": (0x1e900, 0x1e95f),
    "cuneiform": (0x12000, 0x12399), "mathematical": (0x1d400, 0x1d7ff),
    "musical": (0x1d100, 0x1d1e8), "cjk b": (0x20000, 0x2a6df),
    "cjk supplement": (0x2f800, 0x2fa1d)}
QUOTES = ("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u02bc\u02b9\u00ab"
          "\u00bb\u2039\u203a\u2032\u2033\u00b4`'\"\u055a\uff07\uff02")
CONTRACTIONS = ["'s", "\u2019s", "\u02bcs", "\u2018t", "\u2019re", "\u201bve",
                "\uff07m", "\u2019LL", "&rsquo;d", "&#8217;s", "\u2019\u017f"]
LIGATURES = ("\u0132\u0133\u0149\u01c4\u01c5\u01c6\u01c7\u01c8\u01c9\u01ca"
             "\u01cb\u01cc\u01f1\u01f2\u01f3\ufb00\ufb01\ufb02\ufb03\ufb04"
             "\ufb05\ufb06\ufb13\ufb4f\u00e6\u0153\u00df\u1e9e")
MARKS = [chr(c) for c in range(0x110000)
         if unicodedata.combining(chr(c)) and not 0xd800 <= c < 0xe000]
COMPOSED = [chr(c) for c in range(0x110000)
            if unicodedata.decomposition(chr(c))
            and not unicodedata.decomposition(chr(c)).startswith("<")]
CONTROLS = ([chr(c) for c in [*range(0x00, 0x20), 0x7f]]
            + [chr(c) for c in range(0x2000, 0x2070)]
            + list("\ufeff\ufff9\ufffa\ufffb\ufffc\ufffd\u00ad\u061c\u180e"
                   "\u034f\u115f\u3164\U000e0001\U000e0041\U000e007f"))
C1 = [chr(c) for c in range(0x80, 0xa0)]
BREAKS = ["\n", "\r", "\r\n", "\n\r", "\u2028", "\u2029", "\x85", "\x0b",
          "\x0c", "\r\r\n", "\n\n"]
EMOJI = ([chr(c) for c in range(0x1f300, 0x1f650)]
         + [chr(c) for c in range(0x1f680, 0x1f6ff)]
         + [chr(c) for c in range(0x1f900, 0x1fa00)]
         + [chr(c) for c in range(0x2600, 0x27c0)])
# Newer than Python 3.11's Unicode 14: letters, numbers, marks, digits.
NEWER = [[*range(0x10d4a, 0x10d66), *range(0x2ebf0, 0x2ee5e), 0x1c89, 0x1c8a,
          *range(0x323b0, 0x33479), *range(0xa7cb, 0xa7d0)],
         [*range(0x10d40, 0x10d4a), *range(0x116d0, 0x116e4),
          *range(0x1ccf0, 0x1ccfa)],
         [*range(0x10efd, 0x10f00), 0x11f41, 0x11f42, 0x1e08f,
          *range(0x1e4ec, 0x1e4f0)],
         [*range(0x11f50, 0x11f5a), *range(0x1e4f0, 0x1e4fa)]]
ENTITY_NAMES = sorted(html.entities.html5)


def phrase(rng, names, low=1, high=4):
    return " ".join(rng.choices(names, k=rng.randint(low, high)))


def word(rng, low, high, least=1, most=9):
    return "".join(chr(rng.randint(low, high))
                   for _ in range(rng.randint(least, most)))


def prompts(rng, names):
    text = rng.choice(TEMPLATES).format(rng.choice(names))
    change = rng.randrange(6)
    if change == 0:
        text = text.upper()
    elif change == 1:
        text = text.title()
    elif change == 2:
        text = text.replace(" ", rng.choice(["  ", "\t", "\u00a0", "\u2009"]))
    elif change == 3:
        text = f" {text}{rng.randint(0, 9999)}%"
    return text


def scripts(rng, names):
    low, high = SCRIPTS[rng.choice(list(SCRIPTS))]
    other = SCRIPTS[rng.choice(list(SCRIPTS))]
    words = [word(rng, low, high) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.3:
        words.append(word(rng, *other))
    if rng.random() < 0.3:
        words.append(rng.choice(names))
    return rng.choice([" ", " ", " ", "", "-", ". "]).join(words)


def quotes(rng, names):
    text = list(phrase(rng, names))
    for _ in range(rng.randint(1, 4)):
        text.insert(rng.randint(0, len(text)), rng.choice(QUOTES))
    text = "".join(text)
    return text + rng.choice(CONTRACTIONS) if rng.random() < 0.6 else text


def ligatures(rng, names):
    text = list(phrase(rng, names, 1, 2))
    for _ in range(rng.randint(1, 3)):
        text.insert(rng.randint(0, len(text)), rng.choice(LIGATURES))
    return "".join(text)


def widths(rng, names):
    kind = rng.randrange(3)
    if kind == 0:
        return "".join(chr(ord(c) + 0xfee0) if "!" <= c <= "~" else "\u3000"
                       for c in phrase(rng, names, 1, 2) if ord(c) < 127)
    if kind == 1:
        return word(rng, 0xff61, 0xff9f, 2, 9) + rng.choice(["\uff9e", "", " "])
    return word(rng, 0xff00, 0xffef, 1, 6) + rng.choice(names)


def marks(rng, names):
    kind = rng.randrange(4)
    if kind == 0:
        form = rng.choice(["NFD", "NFKD"])
        return unicodedata.normalize(
            form, "".join(rng.choices(COMPOSED, k=rng.randint(1, 6))))
    if kind == 1:
        return "".join(rng.choices(COMPOSED, k=rng.randint(1, 6)))
    common = [chr(c) for c in range(0x300, 0x370)]
    bases = rng.choice([names[0], rng.choice(names), "aeiou\u03b1\u0438\u30ab"])
    out = ""
    for base in bases[:12]:
        out += base
        for _ in range(rng.choice([0, 0, 1, 2, 4])):
            out += rng.choice(common if kind == 2 else MARKS)
    return out


def entity(rng):
    kind = rng.randrange(9)
    if kind < 3:
        name = rng.choice(ENTITY_NAMES)
        return "&" + (name.upper() if rng.random() < 0.3 else name)
    if kind == 3:
        return "&" + rng.choice(ENTITY_NAMES).rstrip(";") + rng.choice("1x; =")
    if kind == 4:
        point = rng.choice([rng.randint(0, 0x17f), rng.randint(0, 0x10ffff)])
        return rng.choice(["&#{};", "&#{}", "&#{}x", "&#0{};"]).format(point)
    if kind == 5:
        point = rng.choice([rng.randint(0, 0x2100), rng.randint(0, 0x120000)])
        return rng.choice(["&#x{:x};", "&#X{:X};", "&#x{:x}", "&#x{:x}g;"]
                          ).format(point)
    if kind == 6:
        return "&" + "amp;" * rng.randint(1, 5) + rng.choice(
            ["lt;", "#38;amp;", "eacute;", "NTILDE;", "#x26;#60;", ""])
    if kind == 7:
        return rng.choice(["&", "&;", "&#;", "&#59;", "&#38;", "&semi;",
                           "&lt;b&gt;", "&amp", "&#x3b;lt", "&fjlig;",
                           "&FRAC12;", "&SZLIG;", "& amp;", "&#x00000041;"])
    return "&" + word(rng, 0x61, 0x7a, 1, 28) + ";"


def entities(rng, names):
    parts = [rng.choice(names)]
    for _ in range(rng.randint(1, 4)):
        parts.insert(rng.randint(0, len(parts)), entity(rng))
    if rng.random() < 0.15:
        parts.insert(rng.randint(0, len(parts)), rng.choice(["<", "<b>", "\n",
                                                             "\n<"]))
    return rng.choice(["", " "]).join(parts)


def emoji(rng, names):
    out = [rng.choice(names)] if rng.random() < 0.5 else []
    for _ in range(rng.randint(1, 4)):
        kind = rng.randrange(6)
        one = rng.choice(EMOJI)
        if kind == 0:
            one += "\ufe0f"
        elif kind == 1:
            one += chr(rng.randint(0x1f3fb, 0x1f3ff))
        elif kind == 2:
            one = "\u200d".join(rng.choices(EMOJI, k=rng.randint(2, 4)))
        elif kind == 3:
            one = word(rng, 0x1f1e6, 0x1f1ff, 2, 2)
        elif kind == 4:
            one = rng.choice("0123456789#*") + "\ufe0f\u20e3"
        elif rng.random() < 0.3:
            region = word(rng, 0xe0061, 0xe007a, 5, 5)
            one = f"\U0001f3f4{region}\U000e007f"
        out.append(one)
    return rng.choice(["", " "]).join(out)


def controls(rng, names):
    text = list(phrase(rng, names, 1, 2))
    pool = C1 if rng.random() < 0.2 else CONTROLS
    for _ in range(rng.randint(1, 5)):
        text.insert(rng.randint(0, len(text)), rng.choice(pool))
    return "".join(text)


def terminal(rng, names):
    def escape():
        digits = "".join(rng.choices("0123456789;\u0663\u096a\uff11 ",
                                     weights=[9] * 11 + [1] * 4,
                                     k=rng.randint(0, 5)))
        return rng.choice(["\x1b[", "\x1b[", "\x1b[", "\x1b", "\x9b",
                           "\x1b\x1b[", "\x1b\x00["]) + digits + rng.choice(
            "mKJHAm\u00e9\u0161~")
    return "".join(escape() + rng.choice(names)
                   for _ in range(rng.randint(1, 3))) + "\x1b[0m"


def newer(rng, names):
    digit = chr(rng.choice(NEWER[3]))
    parts = [rng.choice(names), f"\x1b[{digit}m", "\u0301", "\u0323", "1",
             "!"]
    for _ in range(rng.randint(2, 8)):
        kind = rng.choice(NEWER)
        parts.append("".join(chr(rng.choice(kind))
                             for _ in range(rng.randint(1, 3))))
    rng.shuffle(parts)
    return "".join(parts)


def lines(rng, names):
    parts = []
    for _ in range(rng.randint(2, 5)):
        parts.append(rng.choice([rng.choice(names), entity(rng), "<i>", "",
                                 rng.choice(LIGATURES), "\u0301e"]))
        parts.append(rng.choice(BREAKS))
    return "".join(parts)


def surrogates(rng, names):
    high, low = rng.randint(0xd800, 0xdbff), rng.randint(0xdc00, 0xdfff)
    form = rng.choice(["&#x{:x};&#x{:x};", "&#{};&#{};", "\\u{:04x}\\u{:04x}",
                       "&#x{:X}&#x{:X}", "%u{:x}%u{:x}"]).format(high, low)
    edge = rng.choice(["\ud7ff", "\ue000", "\ufffd", "\uffff", "\ufffe",
                       "\U0010ffff", "\U0001fffe", "\ufdd0", "\U000f0000"])
    return rng.choice([form, form + edge, edge + rng.choice(names),
                       edge + form])


def latin_words(rng, names):
    accented = ("\u00e0\u00e1\u00e2\u00e3\u00e4\u00e5\u00e6\u00e7\u00e8\u00e9"
                "\u00ea\u00eb\u00ec\u00ed\u00ee\u00ef\u00f1\u00f2\u00f3\u00f4"
                "\u00f6\u00f8\u00f9\u00fa\u00fc\u00fd\u00df\u0153\u010d\u0159"
                "\u0161\u017e\u0142\u0144\u0119\u0105\u00c9\u00d6\u00dc\u00c5")
    signs = "\u00a3\u20ac\u00a9\u00ae\u2122\u00b0\u00bd\u00d7\u2026\u2013\u2014"
    text = list(phrase(rng, names, 1, 3))
    for _ in range(rng.randint(1, 4)):
        text[rng.randrange(len(text))] = rng.choice(accented)
    if rng.random() < 0.4:
        text.append(rng.choice(["", " "]) + rng.choice(signs))
    return "".join(text)


def code_points(rng, names):
    del names
    points = []
    while len(points) < rng.randint(1, 12):
        top = rng.choice([0x250, 0x3000, 0xffff, 0x10ffff])
        point = rng.randint(0, top)
        if not 0xd800 <= point < 0xe000:
            points.append(chr(point))
    return "".join(points)


def ascii_noise(rng, names):
    del names
    return word(rng, 0x20, 0x7e, 1, 40)


def mojibake(rng, names):
    """Text decoded with the wrong encoding: most of it ftfy decodes again."""
    text = rng.choice([latin_words, quotes, scripts, emoji])(rng, names)
    codec = rng.choice(["latin-1", "cp1252", "cp1251", "mac-roman"])
    return text.encode("utf-8").decode(codec, errors="replace")


PLAIN = [prompts, scripts, quotes, ligatures, widths, marks, entities, emoji,
         controls, terminal, newer, lines, surrogates, latin_words, code_points,
         ascii_noise]


def mixed(rng, names):
    parts = [rng.choice(PLAIN)(rng, names)
             for _ in range(rng.randint(2, 4))]
    return rng.choice(["", " ", "\n"]).join(parts)


def strata():
    """Name and weight; scripts have many code points to visit."""
    out = {one.__name__: 1 for one in PLAIN}
    out |= {"scripts": 4, "marks": 2, "entities": 2, "mixed": 3,
            "mojibake": 0.5}
    return out


def corpus(count, seed, names):
    """`count` (stratum, text); every stratum in proportion to its weight."""
    rng = random.Random(seed)
    weights = strata()
    total = sum(weights.values())
    makers = {one.__name__: one for one in [*PLAIN, mixed, mojibake]}
    for name, weight in weights.items():
        for _ in range(round(count * weight / total)):
            yield name, makers[name](rng, names)

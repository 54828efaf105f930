"""Token ids of open_clip's SimpleTokenizer, with ftfy, as it is used.

usage: make_tokenizer_goldens.py MERGES OUT_DIR [SEED [COUNT]]

Writes into OUT_DIR
  tokenizer.jsonl: [text, digest, digest, digest] a line, about COUNT of them;
      a digest is the beginning of a SHA-256: of what ftfy.fix_text gives, of
      the ids with MERGES, of the ids with CLIP's own vocabulary;
  tokenizer_code_points.json: for every code point that Unicode has assigned
      (large uniform blocks thinned), a SHA-256 over its ids in context.

Texts whose ids would be others if ftfy did not decode mojibake are left out
and counted: the C++ leaves that step out, see docs/parity.md.
"""

import collections
import functools
import hashlib
import json
import sys
import unicodedata
from pathlib import Path

import reference
import text_corpus

FIXED = [
    "X", ".", "", " ", ").", "X.", "kite (bird of prey)", "ram (adult male)",
    "don't can't it's we're they've i'm he'll she'd", "'S 'T 'RE 'VE 'LL",
    "rock'n'roll", "o'clock's", "''s", "'\u017f x'\u017f \u017f",
    "<start_of_text>", "<end_of_text>", "a<end_of_text>b", "<End_Of_Text>",
    "<\u017ftart_of_text>", "<|endoftext|>", "x &lt;end_of_text&gt;",
    "\u0130stanbul I\u0307 \u0131", "\u03a3\u03a3 \u039f\u0394\u039f\u03a3 "
    "\u03a3. A\u03a3\u0301 \u03a3\u00adA", "\u212a \u212b \u2126",
    "\u01c5\u01c8\u01cb\u01f2", "\u1e9e stra\u00dfe STRASSE", "\u0345a\u0345",
    "a\u0345b 1\u03452 .\u0345.", "\u1f88\u1fb3\u1fbc", "\ufb03 \ufb06",
    "\u2160\u2163 \u00bd \u00b2 \u0663\u0664 \u0967 12345 3.14 1,000",
    "\u24b6 \u24d0", "\x1c\x1da\x1eb\x1f", "a\x00b", "\x85a\xa0b\u2003c",
    "\u200ba\u200bb\u2060\ufeff", "a\u2028b\u2029c\u3000d\u1680e\u180ef",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7",
    "\u2764\ufe0f 1\ufe0f\u20e3 #\u20e3", "e\u0301 \u00e9 n\u0303 \u00f1",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0928\u092e\u0938\u094d\u0924"
    "\u0947", "\u4f60\u597d\uff0c\u4e16\u754c", "\u3053\u3093\u306b\u3061"
    "\u306f", "\uc548\ub155", "\u0645\u0631\u062d\u0628\u0627",
    "\u05e9\u05dc\u05d5\u05dd", "\u0417\u0434\u0440\u0430\u0432\u0441\u0442"
    "\u0432\u0443\u0439", "\U00010400\U00010428", "\U0001d54f\U0001d7d8",
    "a" * 300, "ab" * 200, "the" * 90, "-" * 120, "!?" * 60, "\u00e9" * 80]
ENTITIES = [
    "&amp;", "&amp", "&ampx", "&AMP;", "&amp;amp;", "&amp;amp;amp;", "&lt;b&gt;",
    "&notit;", "&notin;", "&not", "&n", "&", "&&amp;", "&;", "&#;", "&#x;",
    "&#65;", "&#65", "&#65x", "&#x41;", "&#X41", "&#x1F600;", "&#0;", "&#13;",
    "&#128;", "&#x81;", "&#x9f;", "&#xD800;", "&#x110000;", "&#99999999999999;",
    "&#1;", "&#11;", "&#xFFFE;", "&#x1FFFF;", "&#xFDD0;", "&#160;", "&nbsp;",
    "&eacute;", "&eacute", "&Eacute;l", "&CounterClockwiseContourIntegral;",
    "&CounterClockwiseContourIntegralX", "&NotEqualTilde;", "&fjlig;",
    "&acE;", "&copy2024", "&frac12;", "&hellip;", "&zwj;", "&Tab;", "&NewLine;",
    "&unknown;", "&am\u00e9p;", "&lt\u00e9;", "&#x26;amp;", "&amp;#38;lt;",
    "&#\u0661;", "&lt ;", "& lt;", "&gtcc", "&ltcc;", "&thetasym;", "&sup1x;"]


def assigned():
    """Assigned code points; every 61st of the large uniform blocks."""
    points = []
    for point in range(0x110000):
        name = unicodedata.name(chr(point), "")
        kind = unicodedata.category(chr(point))
        if kind in ("Cs", "Cn", "Co"):
            continue
        bulk = name.startswith(("CJK UNIFIED", "HANGUL SYLLABLE", "TANGUT",
                                "EGYPTIAN", "CUNEIFORM", "YI SYLLABLE",
                                "NUSHU", "KHITAN", "ANATOLIAN", "BAMUM"))
        if not bulk or point % 61 == 0:
            points.append(point)
    return points


def ranges(points):
    out = []
    for point in points:
        if out and out[-1][1] == point - 1:
            out[-1][1] = point
        else:
            out.append([point, point])
    return out


def context(char):
    """Where one code point is put: in words, numbers, signs and at ends."""
    return f"{char}a{char}B {char}1{char} .{char}'s\u03a3{char} &lt{char}"


def strings(count, seed):
    """(stratum, text) without repetition."""
    names = list(reference.import_open_clip().IMAGENET_CLASSNAMES)
    seen = set()
    fixed = [("fixed", text) for text in FIXED + ENTITIES]
    for stratum, text in fixed + list(text_corpus.corpus(count, seed, names)):
        if text not in seen and len(text.encode()) <= 4096:
            seen.add(text)
            yield stratum, text


class Reference:
    """open_clip's tokenizer with two vocabularies."""

    def __init__(self, merges):
        self.module = reference.import_open_clip().tokenizer
        self.tokenizers = [reference.tokenizer(merges),
                           self.module.SimpleTokenizer()]
        # The real one; it is asked three times for each text.
        self.fix_text = functools.lru_cache(8)(self.module.ftfy.fix_text)
        self.module.ftfy.fix_text = self.fix_text

    def decodes_mojibake(self, text):
        return self.fix_text(text) != self.fix_text(text, fix_encoding=False)

    def ids(self, text):
        """Of both vocabularies; caches stay small."""
        out = []
        for tokenizer in self.tokenizers:
            out.append(tokenizer.encode(text))
            if len(tokenizer.cache) > 50000:
                tokenizer.cache = {t: t for t in ("<start_of_text>",
                                                  "<end_of_text>")}
        return out


def shortened(text):
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def joined(ids):
    return " ".join(map(str, ids))


def write_strings(path, asked, count, seed):
    kept, left_out = collections.Counter(), collections.Counter()
    with open(path, "w", encoding="utf-8", newline="\n") as lines:
        for stratum, text in strings(count, seed):
            if asked.decodes_mojibake(text):
                left_out[stratum] += 1
                continue
            kept[stratum] += 1
            digests = [shortened(asked.fix_text(text)),
                       *(shortened(joined(ids)) for ids in asked.ids(text))]
            lines.write(json.dumps([text, *digests], ensure_ascii=False,
                                   separators=(",", ":")) + "\n")
    for stratum in kept | left_out:
        print(f"{stratum}: {kept[stratum]} strings, "
              f"{left_out[stratum]} left out as mojibake")
    print(f"all: {kept.total()} strings, {left_out.total()} left out")


def write_code_points(path, asked):
    points, left_out = [], 0
    digest, blocks, buffered = hashlib.sha256(), {}, 0
    for point in assigned():
        if asked.decodes_mojibake(context(chr(point))):
            left_out += 1
            continue
        points.append(point)
        ids = asked.ids(context(chr(point)))[0]
        digest.update((joined(ids) + "\n").encode())
        buffered += 1
        if buffered == 1000:
            blocks[str(point)] = digest.hexdigest()
            digest, buffered = hashlib.sha256(), 0
    if buffered:
        blocks[str(points[-1])] = digest.hexdigest()
    path.write_text(
        json.dumps({"ranges": ranges(points), "digest_up_to": blocks},
                   separators=(",", ":")) + "\n")
    print(f"code points: {len(points)}, {left_out} left out as mojibake")


def main(merges, out, seed, count):
    out.mkdir(parents=True, exist_ok=True)
    asked = Reference(Path(merges).read_text(encoding="utf-8"))
    write_strings(out / "tokenizer.jsonl", asked, count, seed)
    write_code_points(out / "tokenizer_code_points.json", asked)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]),
         int(sys.argv[3]) if len(sys.argv) > 3 else 1,
         int(sys.argv[4]) if len(sys.argv) > 4 else 4000)

"""What is said about the tasks: card.json, card.md and benchmark.json."""

import captions
import sources
import benchmark_specs


def _share(sprites, test):
    return round(sum(test(c, s) for c, s in sprites) / len(sprites), 3)


def _unseen_style(style):
    return sources.STYLE_BY_NAME[style].role != "train"


def card(task, spec, deals, images, art, side):
    """deals: {class: {split: sprites}}; images: {split: how many}."""
    def unseen(concept):
        return captions.held_out(art.by_slug[concept])

    out = {"task": task, "about": spec["about"], "image_side": side,
           "classes": len(deals), "splits": {}}
    if "note" in spec:
        out["note"] = spec["note"]
    for split, count in images.items():
        every = [s for dealt in deals.values() for s in dealt[split]]
        out["splits"][split] = {
            "images": count, "sprites": len(every),
            "fewest_sprites_in_a_class": min(
                len(dealt[split]) for dealt in deals.values()),
            "share_unseen_style": _share(every, lambda c, s: _unseen_style(s)),
            "share_unseen_concept": _share(every, lambda c, s: unseen(c)),
        }
    out["styles"] = [
        {"name": s, "seen_by_encoder": not _unseen_style(s),
         "licence": sources.STYLE_BY_NAME[s].licence,
         "credit": sources.STYLE_BY_NAME[s].credit}
        for s in spec["styles"]]
    out["template"] = benchmark_specs.TEMPLATES[task.split("-")[0]]
    out["unseen_classes"] = sorted(
        name for name, dealt in deals.items()
        if all(unseen(c) for split in dealt.values() for c, _ in split))
    out["disjoint_concepts"] = spec.get("disjoint_concepts", False)
    return out


def text(card):
    """card.md."""
    apart = ("no concept is in two splits" if card["disjoint_concepts"]
             else "no sprite is in two splits")
    lines = [f"# Task: {card['task']}", "", card["about"],
             f"{card['classes']} classes, {card['image_side']} px images. A "
             f"sprite is one concept drawn in one style; {apart}.", "",
             *([card["note"], ""] if "note" in card else []),
             "| split | images | sprites | fewest sprites in a class | in "
             "styles the encoder never saw | of concepts it never saw |",
             "| --- | --- | --- | --- | --- | --- |"]
    for split, c in card["splits"].items():
        lines.append(
            f"| {split} | {c['images']} | {c['sprites']} | "
            f"{c['fewest_sprites_in_a_class']} | "
            f"{100 * c['share_unseen_style']:.0f} % | "
            f"{100 * c['share_unseen_concept']:.0f} % |")
    unseen = ", ".join(card["unseen_classes"]) or "none"
    lines += ["", f"Classes all of whose concepts the encoder never saw "
              f"({len(card['unseen_classes'])} of {card['classes']}): "
              f"{unseen}.", "",
              f"Hand-written template: `{card['template']}`", "",
              "| style | seen by the encoder | licence | credit |",
              "| --- | --- | --- | --- |"]
    lines += [f"| {s['name']} | {'yes' if s['seen_by_encoder'] else 'no'} | "
              f"{s['licence']} | {s['credit']} |" for s in card["styles"]]
    lines += ["", "The drawings were turned, scaled and put on generated "
              "backgrounds; that is the change made to them.", ""]
    return "\n".join(lines)


def benchmark(cards, tasks):
    """benchmark.json, beside the folder `tasks`. An encoder is named when it
    is there."""
    def entry(name):
        return {"name": name, "folder": f"{tasks.name}/{name}",
                "template": cards[name]["template"],
                "unseen_classes": cards[name]["unseen_classes"]}

    return {
        "tasks": [entry(name) for name in benchmark_specs.FEW_SHOT],
        "variant_tasks": benchmark_specs.VARIANT_TASKS,
        "domain_generalization": {
            "source": entry("styles"),
            "targets": [{"name": f"styles-{style}",
                         "folder": f"{tasks.name}/styles-{style}",
                         "unseen_style": _unseen_style(style)}
                        for style in benchmark_specs.TARGET_STYLES]},
        "encoders": [{"name": name, "folder": name}
                     for name in benchmark_specs.ENCODERS
                     if (tasks.parent / name
                         / "open_clip_model.safetensors").exists()],
    }

"""Checks benchmark.json against the tasks' folders; used by check_tasks.py."""

import json

FEW_SHOT_TASKS = 11
VARIANT_TASKS = 4
TASK_KEYS = {"name", "folder", "template", "unseen_classes"}
TARGET_KEYS = {"name", "folder", "unseen_style"}
ENCODER_FILES = ("open_clip_config.json", "open_clip_model.safetensors",
                 "merges.txt", "self_test.safetensors")


def _entry(entry, keys, root, found):
    """What is wrong with one task's or target's entry."""
    name = entry.get("name")
    if set(entry) != keys:
        return [f"{name}: has the keys {sorted(entry)}, not {sorted(keys)}"]
    if name not in found or entry["folder"] != f"{root.name}/{name}":
        return [f"{name}: no task in {entry['folder']}"]
    if keys is not TASK_KEYS:
        return []
    wrong = []
    if entry["template"].count("{}") != 1:
        wrong.append(f"{name}: the template {entry['template']!r} has not "
                     "one {}")
    for key in ("template", "unseen_classes"):
        if entry[key] != found[name]["card"][key]:
            wrong.append(f"{name}: the card has another {key}")
    if "train" not in found[name]["splits"]:
        wrong.append(f"{name}: nothing to train on")
    return wrong


def _shift(shift, root, found):
    """The domain generalisation: one source, targets of its concepts."""
    source, wrong = shift["source"], []
    entries = [(source, TASK_KEYS)] + [(t, TARGET_KEYS)
                                       for t in shift["targets"]]
    for entry, keys in entries:
        wrong += _entry(entry, keys, root, found)
    if wrong or not shift["targets"]:
        return wrong or ["the source has no target"]
    concepts = {}
    for groups in found[source["name"]]["splits"].values():
        for name, sprites in groups.items():
            concepts.setdefault(name, set()).update(c for c, _ in sprites)
    styles = {s["name"] for s in found[source["name"]]["card"]["styles"]}
    for target in shift["targets"]:
        name, own = target["name"], found[target["name"]]
        groups = own["splits"]["test"]
        if list(own["splits"]) != ["test"] or set(groups) != set(concepts):
            wrong.append(f"{name}: not the source's classes, for testing only")
            continue
        for group, sprites in groups.items():
            if not {c for c, _ in sprites} <= concepts[group]:
                wrong.append(f"{name}/{group}: has concepts the source lacks")
        if styles & {s["name"] for s in own["card"]["styles"]}:
            wrong.append(f"{name}: has a style of the source")
        unseen = all(not s["seen_by_encoder"] for s in own["card"]["styles"])
        if target["unseen_style"] != unseen:
            wrong.append(f"{name}: unseen_style is not what the card says")
    return wrong


def problems_of(root, found):
    """root: the tasks' folder; found: {name: {card, splits}} of every folder.
    benchmark.json lies beside it. -> sentences."""
    path = root.parent / "benchmark.json"
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        return [f"{path}: {error}"]
    wrong = []
    for entry in told["tasks"]:
        wrong += _entry(entry, TASK_KEYS, root, found)
    shift = told["domain_generalization"]
    wrong += _shift(shift, root, found)
    names = [t["name"] for t in told["tasks"]]
    if len(set(names)) != FEW_SHOT_TASKS or len(names) != FEW_SHOT_TASKS:
        wrong.append(f"{len(names)} tasks, not {FEW_SHOT_TASKS} different ones")
    variants = told["variant_tasks"]
    if len(set(variants)) != VARIANT_TASKS or not set(variants) <= set(names):
        wrong.append(f"variant_tasks are not {VARIANT_TASKS} of the tasks")
    shown = {*names, shift["source"]["name"],
             *(t["name"] for t in shift["targets"])}
    wrong += [f"{name}: in no list" for name in sorted(set(found) - shown)]
    for encoder in told["encoders"]:
        for file in ENCODER_FILES:
            if not (root.parent / encoder["folder"] / file).is_file():
                wrong.append(f"encoder {encoder['name']}: no {file}")
    if not told["encoders"]:
        wrong.append("no encoders")
    return [f"{path}: {sentence}" for sentence in wrong]

"""How many views of each image reach the accuracy of the paper's recipe, a
fresh view in every epoch: on the bundled tasks, by a promptd of its own.

usage: views_study.py BUILD_DIR [--work FOLDER] [--views 1,2,4,8,16,epochs]
                      [--shots 1,4,16] [--seeds 1,2,3] [--tasks things,food]
                      [--minutes 120] [--threads 2]

For every task, number of shots, seed and number of views it trains by
promptd's defaults (`promptctl train --views K`; "default" leaves the flag
out). Finished runs are kept in FOLDER/results.json; when the minutes are over
it prints what there is, and a later call with the same FOLDER goes on. Prints
a Markdown table: accuracy in percent on the test splits, means over tasks and
seeds, the difference to views = epochs with its standard error over the paired
runs, and the fewest views that stay within 0.5 point at every number of shots.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import local_promptd

WITHIN = 0.5  # points


def flags_of(views):
    return [] if views == "default" else ["--views", views]


def run(server, task, shots, seed, views):
    job = server.train(task, "--shots", shots, "--seed", seed,
                       *flags_of(views))
    return {"accuracy": 100 * job["result"]["accuracy"],
            "seconds": local_promptd.train_seconds(job)}


def run_all(args, server, work):
    """What is done of {task shots seed views: result}."""
    path = work / "results.json"
    done = json.loads(path.read_text()) if path.exists() else {}
    end = time.monotonic() + 60 * args.minutes
    # The paired runs of a seed one after the other: a study that is cut short
    # compares equal sets.
    for seed in args.seeds:
        for shots in args.shots:
            for task in args.tasks:
                for views in args.views:
                    key = f"{task} {shots} {seed} {views}"
                    if key in done:
                        continue
                    if time.monotonic() > end:
                        print(f"stopped after {args.minutes} minutes",
                              file=sys.stderr)
                        return done
                    done[key] = run(server, task, shots, seed, views)
                    path.write_text(json.dumps(done, indent=1))
                    print(f"{key}: {done[key]['accuracy']:.2f} % in "
                          f"{done[key]['seconds']:.1f} s", file=sys.stderr,
                          flush=True)
    return done


def pairs(args, done, shots, views):
    """[(accuracy with `views`, with the last of args.views)]"""
    found = []
    for task in args.tasks:
        for seed in args.seeds:
            both = [done.get(f"{task} {shots} {seed} {v}")
                    for v in (views, args.views[-1])]
            if None not in both:
                found.append([run["accuracy"] for run in both])
    return found


def cell(args, done, shots, views):
    """(text, difference)."""
    found = pairs(args, done, shots, views)
    if not found:
        return "-", None
    gaps = [mine - other for mine, other in found]
    mean = statistics.mean(gaps)
    text = f"{statistics.mean(mine for mine, _ in found):.2f}"
    if views != args.views[-1]:
        error = (statistics.stdev(gaps) / len(gaps) ** 0.5
                 if len(gaps) > 1 else float("nan"))
        text += f" ({mean:+.2f} ± {error:.2f})"
    return text + ("" if len(found) == len(args.tasks) * len(args.seeds)
                   else f", {len(found)} runs"), mean


def report(args, done):
    head = ["views", *(f"{shots} shots" for shots in args.shots),
            "seconds a job"]
    print("| " + " | ".join(head) + " |")
    print("| " + " | ".join(["---"] * len(head)) + " |")
    enough = None
    for views in args.views:
        cells = [cell(args, done, shots, views) for shots in args.shots]
        seconds = [result["seconds"] for key, result in done.items()
                   if key.split()[3] == views]
        print("| " + " | ".join(
            [views, *(text for text, _ in cells),
             f"{statistics.mean(seconds):.1f}" if seconds else "-"]) + " |")
        gaps = [gap for _, gap in cells]
        if (enough is None and None not in gaps
                and all(abs(gap) <= WITHIN for gap in gaps)):
            enough = views
    print(f"\nfewest views within {WITHIN} point of {args.views[-1]} at every "
          f"number of shots: {enough or 'none of these'}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--views", default="1,2,4,8,16,epochs",
                        help="the last one is what the others are compared to")
    parser.add_argument("--shots", default="1,4,16")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--tasks", default="")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.views = args.views.split(",")
    args.shots = [int(shots) for shots in args.shots.split(",")]
    args.seeds = [int(seed) for seed in args.seeds.split(",")]
    args.tasks = (args.tasks.split(",") if args.tasks
                  else local_promptd.task_names())
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        with local_promptd.start(args.build, work, "--threads",
                                 str(args.threads)) as server:
            server.push_tasks()
            done = run_all(args, server, work)
    report(args, done)


if __name__ == "__main__":
    main()

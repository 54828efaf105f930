#!/usr/bin/env python3
"""Pushes a folder, trains a prompt, watches the job and classifies images.

Needs grpcio and grpcio-tools. The stubs are made from ../../../proto.
"""
import argparse
import hashlib
import pathlib
import sys

import grpc

PROTO = pathlib.Path(__file__).resolve().parents[3] / "proto"
sys.path.insert(0, str(PROTO))  # where protos_and_services looks

dataset, datasets = grpc.protos_and_services("promptd/v1/dataset.proto")
training, trainings = grpc.protos_and_services("promptd/v1/training.proto")
classify, classifies = grpc.protos_and_services("promptd/v1/classify.proto")

CHUNK = 1 << 20  # of an upload, at most
SPLITS = {"train": dataset.SPLIT_TRAIN, "val": dataset.SPLIT_VAL,
          "test": dataset.SPLIT_TEST}
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def read_folder(folder):
    """Class names and [(path, bytes, class index, split)]."""
    files = [path for split in SPLITS
             for path in sorted(folder.glob(f"{split}/*/*"))
             if path.suffix.lower() in SUFFIXES]
    names = sorted({path.parent.name for path in files})
    if not names:
        raise SystemExit(f"{folder} has no images in train/CLASS/ or "
                         "test/CLASS/")
    items = [(str(path.relative_to(folder)), path.read_bytes(),
              names.index(path.parent.name),
              SPLITS[path.parent.parent.name]) for path in files]
    return names, items


def push(channel, name, class_names, items):
    """Uploads what the server lacks and makes the dataset visible."""
    stub = datasets.DatasetServiceStub(channel)
    by_digest = {hashlib.sha256(data).hexdigest(): data
                 for _, data, _, _ in items}

    def manifest():
        yield dataset.PushDatasetRequest(
            header=dict(name=name, class_names=class_names,
                        item_count=len(items)))
        for path, data, index, split in items:
            yield dataset.PushDatasetRequest(item=dict(
                path=path, digest=hashlib.sha256(data).hexdigest(),
                class_index=index, split=split))

    missing, push_id = [], None
    for reply in stub.PushDataset(manifest()):
        if reply.WhichOneof("kind") == "missing_digest":
            missing.append(reply.missing_digest)
        else:
            push_id = reply.result.push_id

    def uploads():
        for digest in missing:
            data = by_digest[digest]
            for at in range(0, len(data), CHUNK):
                yield dataset.UploadImagesRequest(
                    push_id=push_id, chunk=data[at:at + CHUNK],
                    last=at + CHUNK >= len(data))

    if missing:
        reply = stub.UploadImages(uploads())
        for rejected in reply.rejected:
            raise SystemExit(f"refused: {rejected.message}")
    stub.CommitDataset(dataset.CommitDatasetRequest(push_id=push_id))
    print(f"pushed {name}: {len(items)} images, {len(missing)} of them new")


def train(channel, task, dataset_name, shots, epochs):
    """Trains and prints the job's events; the number of the new version."""
    stub = trainings.TrainingServiceStub(channel)
    spec = training.TrainingSpec(task=task, dataset=dataset_name, shots=shots)
    if epochs is not None:
        spec.epochs = epochs
    job = stub.CreateTrainingJob(training.CreateTrainingJobRequest(spec=spec))
    for event in stub.WatchTrainingJob(
            training.WatchTrainingJobRequest(id=job.id)):
        if event.HasField("progress"):
            print(f"job {job.id}: {event.progress.phase}, "
                  f"{100 * event.progress.fraction:.0f} %")
    job = stub.GetTrainingJob(training.GetTrainingJobRequest(id=job.id))
    if job.state != training.JOB_STATE_SUCCEEDED:
        raise SystemExit(f"job {job.id} failed: {job.error_message}")
    print(f"version {job.version}: {100 * job.result.accuracy:.1f} % of the "
          f"test images, zero-shot "
          f"{100 * job.result.zero_shot_accuracy:.1f} %")
    return job.version


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="127.0.0.1:7080")
    parser.add_argument("--task", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--image", type=pathlib.Path, action="append",
                        required=True)
    parser.add_argument("--shots", type=int, default=16)
    parser.add_argument("--epochs", type=int)
    args = parser.parse_args()
    with grpc.insecure_channel(args.server) as channel:
        push(channel, args.task, *read_folder(args.folder))
        version = train(channel, args.task, args.task, args.shots,
                        args.epochs)
        reply = classifies.ClassifyServiceStub(channel).Classify(
            classify.ClassifyRequest(
                task=args.task, version=version, top_k=1,
                images=[image.read_bytes() for image in args.image]),
            timeout=30)
        for image, result in zip(args.image, reply.results):
            if result.error_reason:
                print(f"{image}: {result.error_message}")
            else:
                best = result.scores[0]
                print(f"{image}: {best.class_name} "
                      f"{100 * best.probability:.1f} %")


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")

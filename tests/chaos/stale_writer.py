"""Writes for jobs under fences that are past, as a worker that does not know
better would."""
import json
import os
import pathlib
import tempfile

import grpc
import grpc_tools
from google.protobuf import (descriptor_pb2, descriptor_pool,
                             message_factory)
from grpc_tools import protoc

import house
import promptd_process
import reflected_client

SERVICE = "promptd.worker.v1.ControlService"
STATUS = "promptd.worker.v1.ItemStatus"


def worker_protocol():
    """A pool of proto/promptd/worker/v1: its port has no reflection."""
    source = pathlib.Path(os.environ["PROMPTD_SOURCE_DIR"]) / "proto"
    include = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "set"
        if protoc.main(["protoc", f"-I{source}", f"-I{include}",
                        "--include_imports", f"--descriptor_set_out={out}",
                        "promptd/worker/v1/control.proto"]) != 0:
            raise RuntimeError(f"protoc cannot read {source}")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


class StaleWriter:
    """Every call that writes something of a job; the blobs that it names are
    there, so that nothing but the fence is wrong."""

    def __init__(self, home):
        self.channel = grpc.insecure_channel(
            home.server.workers, options=[("grpc.enable_http_proxy", 0)])
        pool = worker_protocol()
        self.methods = pool.FindServiceByName(SERVICE).methods_by_name
        self.status = message_factory.GetMessageClass(
            pool.FindMessageTypeByName(STATUS))
        blob = next(p for p in (home.server.data_dir / "blobs").glob("??/*")
                    if p.is_file())
        digest = blob.parent.name + blob.name
        result = json.dumps(dict(
            split="test", images=1, accuracy=1.0, macro_f1=1.0, ece=0.0,
            zero_shot_accuracy=1.0, zero_shot_template="{}", classes=[],
            templates=[]))
        prompt = dict(context_digest=digest, features_digest=digest,
                      class_names=house.images.CLASSES, evaluation_json=result)
        self.writes = {
            "Heartbeat": {}, "ConfirmCancel": None, "ConfirmPause": None,
            "Release": None,
            "ReportProgress": dict(
                progress=dict(phase="train", epoch=1, epochs=2)),
            "SaveCheckpoint": dict(blob_digest=digest),
            "Publish": dict(prompt=prompt),
            "StoreEvaluation": dict(evaluation_json=result),
            "Fail": dict(error=dict(code=13, message="no", reason="STALE")),
        }

    def close(self):
        self.channel.close()

    def answer(self, name, job, fence):
        """CODE REASON; empty: it was taken."""
        method = self.methods[name]
        request = message_factory.GetMessageClass(method.input_type)
        reply = message_factory.GetMessageClass(method.output_type)
        fenced, more = dict(job=job, fence=fence), self.writes[name]
        values = fenced if more is None else dict(job=fenced, **more)
        stub = self.channel.unary_unary(
            f"/{SERVICE}/{name}", request_serializer=request.SerializeToString,
            response_deserializer=reply.FromString)
        try:
            stub(request(**values), timeout=30,
                 metadata=[("authorization", f"Bearer {promptd_process.TOKEN}")])
        except grpc.RpcError as error:
            details = dict(error.trailing_metadata() or ()).get(
                reflected_client.DETAILS, b"")
            reason = self.status.FromString(details).reason
            return f"{error.code().name} {reason}"
        return ""

    def write_all(self, job, fence):
        """(writes sent, what was not refused as it should be)."""
        wrong = []
        for name in self.writes:
            answer = self.answer(name, job, fence)
            if answer != "ABORTED LEASE_LOST":
                wrong.append(f"{name} of job {job} under fence {fence}, which "
                             f"is past: {answer or 'taken'}")
        return len(self.writes), wrong

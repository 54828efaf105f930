"""A gRPC client that knows nothing but the server's reflection."""
import dataclasses
import threading

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase)

DETAILS = "grpc-status-details-bin"


@dataclasses.dataclass
class RpcFailure(Exception):
    """What every refusal of promptd carries."""
    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    request_id: str
    fields: dict

    def __str__(self):
        return f"{self.code.name} {self.reason}: {self.message} {self.fields}"


def failure_of(error):
    """An RpcFailure from a grpc.RpcError."""
    failure = RpcFailure(error.code(), error.details(), "", "", "", {})
    for key, value in error.trailing_metadata() or ():
        if key != DETAILS:
            continue
        status = status_pb2.Status.FromString(value)
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(info):
                failure.reason = info.reason
                failure.domain = info.domain
                failure.request_id = info.metadata["request_id"]
            elif detail.Unpack(bad):
                failure.fields = {v.field: v.description
                                  for v in bad.field_violations}
    return failure


def read_schema(channel):
    """A pool of all that the server's reflection describes.

    Copied file by file: a pool that asks the server whenever something is
    looked up would call it from inside protobuf, under protobuf's locks.
    """
    database = ProtoReflectionDescriptorDatabase(channel)
    pool, known = descriptor_pool.DescriptorPool(), set()

    def add(file):
        if file.name in known:
            return
        known.add(file.name)
        for name in file.dependency:
            add(database.FindFileByName(name))
        pool.Add(file)

    for service in database.get_services():
        try:
            add(database.FindFileContainingSymbol(service))
        except KeyError:  # gRPC's own health service has no description
            continue
    return pool


class Client:
    """client.call("promptd.v1.PromptService", "GetTask", name="pets")."""

    # All servers of a test are of one build: the first that answers tells for
    # all.
    _schema = None
    _schema_lock = threading.Lock()

    def __init__(self, address):
        self.channel = grpc.insecure_channel(
            address, options=[("grpc.max_receive_message_length", -1),
                              ("grpc.enable_http_proxy", 0)])

    def close(self):
        self.channel.close()

    @property
    def pool(self):
        with Client._schema_lock:
            if Client._schema is None:
                Client._schema = read_schema(self.channel)
            return Client._schema

    def services(self):
        return sorted(
            ProtoReflectionDescriptorDatabase(self.channel).get_services())

    def message(self, name):
        return message_factory.GetMessageClass(
            self.pool.FindMessageTypeByName(name))

    def new(self, name, **values):
        return self.message("promptd.v1." + name)(**values)

    def method(self, service, method):
        descriptor = self.pool.FindServiceByName(service).methods_by_name[
            method]
        kind = ("stream" if descriptor.client_streaming else "unary") + "_" + (
            "stream" if descriptor.server_streaming else "unary")
        request = message_factory.GetMessageClass(descriptor.input_type)
        reply = message_factory.GetMessageClass(descriptor.output_type)
        stub = getattr(self.channel, kind)(
            f"/{service}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=reply.FromString)
        return stub, request

    def call(self, service, method, *, timeout=60, tenant="", **values):
        """A unary call; raises RpcFailure."""
        metadata = [("x-promptd-tenant", tenant)] if tenant else []
        stub, request = self.method("promptd.v1." + service, method)
        try:
            return stub(request(**values), timeout=timeout,
                        metadata=metadata)
        except grpc.RpcError as error:
            raise failure_of(error) from None

    def stream(self, service, method, requests, *, timeout=900):
        """A streaming call; yields replies, raises RpcFailure."""
        stub, _ = self.method("promptd.v1." + service, method)
        try:
            replies = stub(requests, timeout=timeout)
            if not hasattr(replies, "__next__"):
                yield replies
                return
            yield from replies
        except grpc.RpcError as error:
            raise failure_of(error) from None

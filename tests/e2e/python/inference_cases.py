"""Triton's own client, unchanged, on promptd: the Open Inference Protocol."""
import os
import queue

import grpc
import numpy
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

import images
import workbench


def image_input(blobs):
    values = numpy.array([[data] for data in blobs], dtype=numpy.object_)
    tensor = triton.InferInput("IMAGE", list(values.shape), "BYTES")
    tensor.set_data_from_numpy(values)
    return tensor


class TritonClientCase(workbench.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        items = images.tiny_dataset()
        cls.bench.push("shapes", images.CLASSES, items)
        for seed in (1, 2):
            job = cls.bench.train(task="shapes", dataset="shapes", shots=2,
                                  context_tokens=4, epochs=4, seed=seed)
            cls.bench.finish(job.id)
        cls.blobs = [data for _, data, _, split in items
                     if split == images.TEST]
        cls.client = triton.InferenceServerClient(cls.server.grpc)
        cls.addClassCleanup(cls.client.close)

    def native(self, **more):
        """PROBABILITY as Classify has it, a row an image."""
        reply = self.bench.classify("shapes", self.blobs, top_k=3, **more)
        return [[score.probability for score in
                 sorted(result.scores, key=lambda s: s.class_index)]
                for result in reply.results]

    def test_lists_and_describes(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("shapes"))
        self.assertTrue(self.client.is_model_ready("shapes", "2"))
        self.assertFalse(self.client.is_model_ready("shapes", "3"))
        self.assertFalse(self.client.is_model_ready("ships"))
        server = self.client.get_server_metadata()
        self.assertEqual(server.name, "promptd")
        self.assertIn("statistics", server.extensions)
        index = {(m.name, m.version) for m in
                 self.client.get_model_repository_index().models}
        self.assertLessEqual({("shapes", "1"), ("shapes", "2"),
                              ("_image_encoder", "1")}, index)
        metadata = self.client.get_model_metadata("shapes")
        self.assertEqual(list(metadata.versions), ["1"])  # production
        config = self.client.get_model_config("shapes").config
        # What perf_analyzer stops at: tensors of one that the other lacks.
        for tensors, configured in ((metadata.inputs, config.input),
                                    (metadata.outputs, config.output)):
            self.assertEqual([t.name for t in tensors],
                             [c.name for c in configured])
            for tensor, c in zip(tensors, configured):
                self.assertEqual(list(tensor.shape), [-1] + list(c.dims))

    def test_infers_what_classify_answers(self):
        for name, version, more in (("shapes", "", {}),
                                    ("shapes", "2", dict(version=2)),
                                    ("shapes@latest", "", dict(version=2))):
            result = self.client.infer(name, [image_input(self.blobs)],
                                       model_version=version, request_id="7")
            numpy.testing.assert_allclose(result.as_numpy("PROBABILITY"),
                                          self.native(**more), rtol=1e-4,
                                          atol=1e-6)
            labels = result.as_numpy("LABEL")
            self.assertEqual(labels.shape, (len(self.blobs), 1))
            self.assertIn(labels[0, 0].decode(), images.CLASSES)
            self.assertEqual(result.get_response().id, "7")

    def test_pixels_are_classified_as_their_image(self):
        size = self.client.get_model_metadata("shapes").inputs[1].shape[2]
        # An image that preprocessing leaves as it is, but for its scale.
        rng = numpy.random.default_rng(3)
        raw = rng.integers(0, 255, (size, size, 3), dtype=numpy.uint8)
        blob = images.encode(images.Image.fromarray(raw, "RGB"))
        mean = numpy.array([0.48145466, 0.4578275, 0.40821073], "float32")
        std = numpy.array([0.26862954, 0.26130258, 0.27577711], "float32")
        pixels = ((raw.astype("float32") / 255 - mean) / std).transpose(
            2, 0, 1)[None].copy()
        tensor = triton.InferInput("PIXELS", list(pixels.shape), "FP32")
        tensor.set_data_from_numpy(pixels)
        for model, output in (("shapes", "PROBABILITY"),
                              ("_image_encoder", "EMBEDDING")):
            of_pixels = self.client.infer(model, [tensor]).as_numpy(output)
            of_image = self.client.infer(model, [image_input([blob])])
            numpy.testing.assert_allclose(of_pixels,
                                          of_image.as_numpy(output),
                                          rtol=1e-3, atol=1e-5)
        fixed = self.client.infer("_pixel_encoder", [tensor])
        numpy.testing.assert_allclose(
            numpy.linalg.norm(fixed.as_numpy("EMBEDDING")), 1, rtol=1e-5)

    def test_top_k_by_the_classification_extension(self):
        wanted = triton.InferRequestedOutput("PROBABILITY", class_count=2)
        result = self.client.infer("shapes", [image_input(self.blobs[:3])],
                                   outputs=[wanted])
        ranked = result.as_numpy("PROBABILITY")
        self.assertEqual(ranked.shape, (3, 2))
        probability, index, label = ranked[0, 0].decode().split(":")
        self.assertEqual(images.CLASSES[int(index)], label)
        self.assertGreaterEqual(float(probability), 1 / 3)

    def test_streams(self):
        answers = queue.Queue()
        with triton.InferenceServerClient(self.server.grpc) as client:
            client.start_stream(lambda result, error:
                                answers.put((result, error)))
            for i in range(40):
                client.async_stream_infer(
                    "shapes", [image_input([self.blobs[i % 12]])],
                    request_id=str(i))
            client.async_stream_infer("ships", [image_input(self.blobs[:1])])
            got = [answers.get(timeout=60) for _ in range(41)]
            client.stop_stream()
        errors = [error for _, error in got if error is not None]
        self.assertEqual(len(errors), 1)
        self.assertIn("ships", str(errors[0]))
        self.assertEqual({result.get_response().id for result, error in got
                          if error is None}, {str(i) for i in range(40)})

    def test_zero_shot_and_texts(self):
        image = triton.InferInput("IMAGE", [1], "BYTES")
        image.set_data_from_numpy(numpy.array([self.blobs[0]],
                                              dtype=numpy.object_))
        labels = triton.InferInput("LABELS", [3], "BYTES")
        labels.set_data_from_numpy(numpy.array(
            [c.encode() for c in images.CLASSES], dtype=numpy.object_))
        result = self.client.infer("_zero_shot", [image, labels])
        probability = result.as_numpy("PROBABILITY")
        self.assertEqual(probability.shape, (1, 3))
        native = self.bench.call("ClassifyService", "ZeroShotClassify",
                                 labels=images.CLASSES,
                                 images=self.blobs[:1], top_k=3)
        for score in native.results[0].scores:
            self.assertAlmostEqual(probability[0, score.class_index],
                                   score.probability, places=5)

    def test_statistics_grow_as_perf_analyzer_reads_them(self):
        def counts():
            stats = self.client.get_inference_statistics("shapes", "1")
            if not stats.model_stats:
                return (0,) * 6
            one = stats.model_stats[0]
            int(one.version)
            inner = one.inference_stats
            return (one.inference_count, inner.success.count,
                    inner.queue.count, inner.compute_input.count,
                    inner.compute_infer.count, inner.compute_output.count)
        before = counts()
        for _ in range(3):
            self.client.infer("shapes", [image_input(self.blobs[:4])])
        grown = [b - a for a, b in zip(before, counts())]
        self.assertEqual(grown, [12, 3, 3, 3, 3, 3])

    def test_the_calls_of_perf_analyzer_in_their_order(self):
        """perf_analyzer -i grpc -m _pixel_encoder --input-data zero: what its
        model_parser, data_loader, load_worker and inference_profiler ask for,
        and what they stop at."""
        pb = triton.service_pb2
        model = "_pixel_encoder"
        with grpc.insecure_channel(self.server.grpc) as channel:
            stub = triton.service_pb2_grpc.GRPCInferenceServiceStub(channel)
            metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name=model))
            config = stub.ModelConfig(pb.ModelConfigRequest(name=model)).config
            self.assertGreater(config.max_batch_size, 0)
            self.assertFalse(config.model_transaction_policy.decoupled)
            self.assertFalse(config.HasField("ensemble_scheduling"))
            self.assertFalse(config.HasField("sequence_batching"))
            described = {t.name: t for t in metadata.inputs}
            request = pb.ModelInferRequest(model_name=model)
            for tensor in config.input:
                dims = list(tensor.dims)
                # Without --shape all of them must be known.
                self.assertTrue(dims and min(dims) > 0, tensor)
                self.assertEqual(list(described[tensor.name].shape),
                                 [-1] + dims)
                request.inputs.add(name=tensor.name, shape=[1] + dims,
                                   datatype=described[tensor.name].datatype)
                request.raw_input_contents.append(
                    bytes(4 * int(numpy.prod(dims))))
            for tensor in config.output:
                request.outputs.add(name=tensor.name)
            request.parameters[
                "triton_enable_empty_final_response"].bool_param = False
            extensions = stub.ServerMetadata(
                pb.ServerMetadataRequest()).extensions
            self.assertIn("statistics", extensions)

            def statistics():
                reply = stub.ModelStatistics(
                    pb.ModelStatisticsRequest(name=model))
                found = [m for m in reply.model_stats if m.name == model]
                self.assertLessEqual(len(found), 1)
                return found[0] if found else pb.ModelStatistics()

            before = statistics()
            for number in range(10):
                request.id = str(number)
                reply = stub.ModelInfer(request)
                self.assertEqual(reply.id, request.id)
                # Its client reads one raw content for each output, unchecked.
                self.assertEqual(len(reply.raw_output_contents),
                                 len(config.output))
            after = statistics()
        int(after.version)
        self.assertEqual(after.inference_count - before.inference_count, 10)
        self.assertGreater(after.execution_count, before.execution_count)
        grown = {
            name: getattr(after.inference_stats, name).count -
            getattr(before.inference_stats, name).count
            for name in ("success", "fail", "queue", "compute_input",
                         "compute_infer", "compute_output", "cache_hit")}
        self.assertEqual(grown, dict(
            success=10, fail=0, queue=10, compute_input=10, compute_infer=10,
            compute_output=10, cache_hit=0))
        for name in ("queue", "compute_infer"):
            self.assertGreaterEqual(getattr(after.inference_stats, name).ns,
                                    getattr(before.inference_stats, name).ns)

    def test_tensors_in_shared_memory(self):
        """perf_analyzer --shared-memory=system, in its order."""
        size = self.client.get_model_metadata(
            "_pixel_encoder").inputs[0].shape[2]
        pixels = numpy.random.default_rng(5).normal(
            size=(2, 3, size, size)).astype("float32")
        sent = triton.InferInput("PIXELS", list(pixels.shape), "FP32")
        sent.set_data_from_numpy(pixels)
        expected = self.client.infer("_pixel_encoder",
                                     [sent]).as_numpy("EMBEDDING")
        self.assertIn("system_shared_memory",
                      self.client.get_server_metadata().extensions)
        self.client.unregister_system_shared_memory()
        self.client.unregister_cuda_shared_memory()
        key = f"/promptd-e2e-{os.getpid()}"
        inputs = shm.create_shared_memory_region("in", key + "-in",
                                                 pixels.nbytes)
        self.addCleanup(shm.destroy_shared_memory_region, inputs)
        outputs = shm.create_shared_memory_region("out", key + "-out",
                                                  expected.nbytes)
        self.addCleanup(shm.destroy_shared_memory_region, outputs)
        shm.set_shared_memory_region(inputs, [pixels])
        self.client.register_system_shared_memory("in", key + "-in",
                                                  pixels.nbytes)
        self.client.register_system_shared_memory("out", key + "-out",
                                                  expected.nbytes)
        regions = self.client.get_system_shared_memory_status().regions
        self.assertEqual(set(regions), {"in", "out"})
        tensor = triton.InferInput("PIXELS", list(pixels.shape), "FP32")
        tensor.set_shared_memory("in", pixels.nbytes)
        wanted = triton.InferRequestedOutput("EMBEDDING")
        wanted.set_shared_memory("out", expected.nbytes)
        result = self.client.infer("_pixel_encoder", [tensor],
                                   outputs=[wanted])
        output = result.get_output("EMBEDDING")
        numpy.testing.assert_array_equal(
            shm.get_contents_as_numpy(outputs, numpy.float32,
                                      list(output.shape)), expected)
        self.client.unregister_system_shared_memory()
        with self.assertRaises(InferenceServerException) as caught:
            self.client.infer("_pixel_encoder", [tensor])
        self.assertIn("INVALID_ARGUMENT", caught.exception.status())
        self.assertIn('"in"', caught.exception.message())

    def test_refusals_are_statuses(self):
        bad = triton.InferInput("IMAGE", [1, 1], "BYTES")
        bad.set_data_from_numpy(numpy.array([[b"no image"]],
                                            dtype=numpy.object_))
        nan = triton.InferInput("PIXELS", [1, 3, 64, 64], "FP32")
        nan.set_data_from_numpy(numpy.full((1, 3, 64, 64), numpy.nan,
                                           numpy.float32))
        for model, inputs, status, word in (
                ("shapes", [bad], "INVALID_ARGUMENT", "row 0"),
                ("shapes", [nan], "INVALID_ARGUMENT", "not finite"),
                ("shapes", [], "INVALID_ARGUMENT", "IMAGE and PIXELS"),
                ("ships", [bad], "NOT_FOUND", "ships")):
            with self.assertRaises(InferenceServerException) as caught:
                self.client.infer(model, inputs)
            self.assertIn(status, caught.exception.status())
            self.assertIn(word, caught.exception.message())
        with self.assertRaises(InferenceServerException) as caught:
            self.client.infer("shapes", [image_input(self.blobs[:1])],
                              model_version="9")
        self.assertIn("NOT_FOUND", caught.exception.status())

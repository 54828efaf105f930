"""What Triton serves in bench/serving_vs_triton.py: an image tower of
open_clip behind Triton's Python backend.

Parameters of the model's configuration: encoder (folder), reference (folder of
reference.py), precision, threads, input (IMAGE: encoded images, or PIXELS).
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy
import torch
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        parameters = {name: value["string_value"] for name, value in
                      json.loads(args["model_config"])["parameters"].items()}
        sys.path.insert(0, parameters["reference"])
        import reference
        threads = int(parameters["threads"])
        torch.set_num_threads(threads)
        self.precision = getattr(torch, parameters["precision"])
        model, cfg, _ = reference.load_folder(parameters["encoder"])
        self.model = model.visual.to(self.precision)
        self.side = cfg["model_cfg"]["vision_cfg"]["image_size"]
        preprocess = cfg["preprocess_cfg"]
        # (x / 255 - mean) / std as one multiplication and one addition.
        std = numpy.array(preprocess["std"], numpy.float32)
        self.scale = (1 / (255 * std)).reshape(3, 1, 1)
        self.offset = (-numpy.array(preprocess["mean"], numpy.float32) /
                       std).reshape(3, 1, 1)
        self.input = parameters["input"]
        # OpenCV decodes and resizes without Python's lock; half the time of
        # Pillow, with nearly its pixels.
        cv2.setNumThreads(1)
        self.pool = ThreadPoolExecutor(threads)

    def preprocess(self, encoded):
        """CLIP's: shorter side to S (antialiased), centre, normalised."""
        image = cv2.imdecode(numpy.frombuffer(encoded, numpy.uint8),
                             cv2.IMREAD_COLOR)
        height, width = image.shape[:2]
        scale = self.side / min(width, height)
        width, height = (max(self.side, int(width * scale)),
                         max(self.side, int(height * scale)))
        image = cv2.resize(image, (width, height),
                           interpolation=cv2.INTER_AREA)
        left = round((width - self.side) / 2)
        top = round((height - self.side) / 2)
        image = cv2.cvtColor(image[top:top + self.side,
                                   left:left + self.side], cv2.COLOR_BGR2RGB)
        pixels = image.transpose(2, 0, 1).astype(numpy.float32)
        pixels *= self.scale
        pixels += self.offset
        return pixels

    def pixels(self, inputs):
        """[B, 3, S, S] of all requests."""
        if self.input == "PIXELS":
            return numpy.concatenate(inputs)
        encoded = [image for rows in inputs for image in rows.reshape(-1)]
        return numpy.stack(list(self.pool.map(self.preprocess, encoded)))

    @torch.inference_mode()
    def execute(self, requests):
        inputs = [triton.get_input_tensor_by_name(request, self.input)
                  .as_numpy() for request in requests]
        pixels = torch.from_numpy(self.pixels(inputs)).to(self.precision)
        features = torch.nn.functional.normalize(
            self.model(pixels).float(), dim=-1).numpy()
        ends = numpy.cumsum([len(rows) for rows in inputs])[:-1]
        return [triton.InferenceResponse(
                    [triton.Tensor("EMBEDDING", numpy.ascontiguousarray(part))])
                for part in numpy.split(features, ends)]

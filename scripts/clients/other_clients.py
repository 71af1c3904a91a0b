# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Clients that are not in Python: @huggingface/hub, and the crate hf-hub."""

import hashlib
import os

from . import installing
from .running import Client, Failed
from .servers import Cutter

SIZE, CUT_AFTER = 24 << 20, 15 << 20


class Node(Client):
    name = "node"

    def __init__(self):
        rows = ["account", "upload", "upload_by_xet", "reading", "changing", "safetensors"]
        self.rows = {row: lambda row=row: self.run("node", self.script, row) for row in rows}

    def install(self, interop):
        self.script = installing.node(interop)


class Crate(Client):
    """It finds its token in its home."""

    def __init__(self, name, folder, rows):
        self.name, self.folder = name, folder
        self.rows = {row: lambda row=row: self.run(self.program, row) for row in rows}
        self.rows["resume"] = self.resume

    def install(self, interop):
        self.program = installing.crate(interop, self.folder)

    def begin(self, server, place, source):
        super().begin(server, place, source)
        with open(f"{place}/token", "w", encoding="ascii") as file:
            file.write(server.token)
        folder = f"{place}/rust"
        os.makedirs(f"{folder}/sub")
        for name, content in [("config.json", b"{}"), ("empty", b""), ("sub/a+b.txt", b"odd"), ("sub/\u00fc.txt", b"odd")]:
            with open(f"{folder}/{name}", "wb") as file:
                file.write(content)
        server.skep("put", "-q", folder, "--name", "me/rust")
        server.skep("put", "-q", f"{folder}/config.json", "--name", "datasets/me/data/config.json")

    def resume(self):
        large = os.urandom(SIZE)
        with open(f"{self.place}/large.bin", "wb") as file:
            file.write(large)
        self.server.skep("put", "-q", f"{self.place}/large.bin", "--name", "me/cut/large.bin")
        self.server.answered()
        cutter = Cutter(self.server.port, CUT_AFTER)
        try:
            path, calls = "", 0
            while not os.path.exists(path) and calls < 3:
                told = self.run(self.program, "fetch", port=cutter.port, any_status=True)
                path = (told.splitlines() or [""])[0]
                calls += 1
        finally:
            cutter.end()
        if not os.path.exists(path) or not cutter.is_done:
            raise Failed(told)
        with open(path, "rb") as file:
            if hashlib.sha256(file.read()).digest() != hashlib.sha256(large).digest():
                raise Failed("what arrived differs")
        sizes = [f"{one.bytes >> 20} MiB" for one in self.server.answered() if one.is_content() and one.bytes > 1]
        return f"whole in call {calls}: {', '.join(sizes)}"

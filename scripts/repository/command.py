# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The rows of scripts/repositories, one after the other."""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time

from . import killing, readers, tree
from .server import Server

FAILED = []


def check(is_right, what):
    print(f"{'ok  ' if is_right else 'FAIL'}  {what}", flush=True)
    if not is_right:
        FAILED.append(what)


def main(text):
    parser = argparse.ArgumentParser(usage=text)
    parser.add_argument("--binary", default="target/release/skep")
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--kills", type=int, default=36)
    wish = parser.parse_args()
    if not shutil.which("strace"):
        sys.exit("repositories: strace is not installed; scripts/setup gets it")

    place = tempfile.mkdtemp(prefix="skep-repositories-")
    server = Server(os.path.abspath(wish.binary), place)
    try:
        mirror(server, wish)
        readers.beside_a_writer(server, wish.turns, check)
        killing.in_commits(server, wish.kills, check)
    finally:
        server.end()
        shutil.rmtree(place)
    sys.exit(1 if FAILED else 0)


def mirror(server, wish):
    place = server.place
    hub, published = f"{place}/hub", f"{server.directory}/hub"
    tree.make(hub, wish.small, wish.shards)
    first = tree.state(hub)
    size = sum(os.path.getsize(os.path.join(hub, name)) for name in first)
    real = [name for name in first if not name.startswith(("small/", "llm/"))]
    print(f"{len(first)} files, {size} bytes, of which {len(real)} are of packages")

    told, seconds = put(server)
    check(told["published"] == len(first) and told["sent"] == size, f"put: {told['sent']} bytes in {seconds:.1f} s")
    check(tree.state(published) == first, "the model directory has the same files")
    old = told["revision"]

    # What is young is read once more; the third time it is not.
    time.sleep(2.2)
    put(server)
    trace = f"{place}/trace"
    told, seconds = put(server, before=["strace", "-f", "-qq", "-e", "trace=openat", "-o", trace])
    check(told["unchanged"] and told["sent"] == 0, f"second put: {told['sent']} bytes in {seconds:.1f} s")
    with open(trace, encoding="utf-8", errors="replace") as file:
        opened = sum(1 for line in file if re.search(r'"[^"]+\.(bin|onnx|safetensors|jit)"', line))
    check(opened == 0, f"second put: {opened} models opened")

    for name in sorted(first)[::2]:
        os.renames(os.path.join(hub, name), os.path.join(hub, "moved", name))
    second = tree.state(hub)
    told, seconds = put(server, "--delete", "-y")
    check(told["sent"] == 0, f"half of it renamed: {told['published']} named, {len(told['removed'])} removed, "
          f"{told['sent']} bytes sent in {seconds:.1f} s")
    check(tree.state(published) == second, "the model directory is the mirror")

    done, seconds = timed(server, "get", f"hub@{old}", "-o", "back")
    check(done.returncode == 0 and tree.state(f"{place}/back") == first, f"get at the old revision in {seconds:.1f} s")
    done, seconds = timed(server, "rollback", "hub/", "--to", old)
    check(done.returncode == 0 and tree.state(published) == first, f"rollback in {seconds:.1f} s")


def put(server, *words, before=()):
    """What it tells of the folder, and how long it took."""
    done, seconds = timed(server, "put", "hub", "--json", *words, before=before)
    if done.returncode != 0:
        sys.exit(f"put failed: {done.stderr}")
    return json.loads(done.stdout)["folders"][0], seconds


def timed(server, *words, before=()):
    begun = time.monotonic()
    done = server.skep(*words, before=before)
    return done, time.monotonic() - begun

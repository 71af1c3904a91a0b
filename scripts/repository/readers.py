# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Readers beside a writer: what they see of a folder that is replaced as a whole."""

import io
import os
import shutil
import tarfile
import threading

from .tree import write

FILES = 200
BYTES = 1000


class Counts:
    def __init__(self):
        self.looks = self.beside = self.refused = self.mixed = 0
        self.seen = set()


class Readers:
    """Four of them, each with what makes a look: the set of contents that it saw, or `None` if it was refused."""

    def __init__(self, server):
        self.server = server
        self.counts = {}
        self.is_writing, self.is_over = False, False
        looks = {"get": self.get, "tar": self.tar, "list": self.list, "revision": self.revision}
        self.threads = [threading.Thread(target=self.run, args=look) for look in looks.items()]

    def run(self, kind, look):
        counts = self.counts[kind] = Counts()
        caller = self.server.caller()
        while not self.is_over:
            was_writing = self.is_writing
            seen = look(caller)
            if seen is None:
                counts.refused += 1
                continue
            counts.looks += 1
            counts.beside += was_writing or self.is_writing
            counts.mixed += len(seen) != 1
            counts.seen |= seen

    def get(self, _):
        place = f"{self.server.place}/seen"
        shutil.rmtree(place, ignore_errors=True)
        if self.server.skep("get", "-q", "turns/", "-o", "seen").returncode != 0:
            return None
        return {content_of(f"{place}/{name}") for name in os.listdir(place) if name.isdigit()}

    @staticmethod
    def tar(caller):
        try:
            status, _, content = caller.ask("GET", "/v1/models/turns/?tar")
        except OSError:
            caller.connection.close()
            return None
        except Exception as error:
            # It breaks off before its end, which the chunks of it tell.
            if type(error).__name__ != "IncompleteRead":
                raise
            caller.connection.close()
            return None
        if status != 200:
            return None
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            files = [one for one in archive if one.isfile()]
            return {archive.extractfile(one).read() for one in files} if len(files) == FILES else {b"", b"not all"}

    @staticmethod
    def list(caller):
        models = caller.get_json("/v1/models?prefix=turns/")
        return models and digests(models["models"])

    @staticmethod
    def revision(caller):
        info = caller.get_json("/v1/info/turns/")
        if info is None:
            return None
        seen = set()
        for number in range(FILES):
            status, _, content = caller.ask("GET", f"/v1/models/turns/{number}?revision={info['revision']}")
            if status != 200:
                return None
            seen.add(content)
        return seen


def content_of(path):
    with open(path, "rb") as file:
        return file.read()


def digests(models):
    """All files of a turn have one content, and so one digest."""
    return {one["digest"] for one in models} if len(models) == FILES else {"", "not all"}


def beside_a_writer(server, turns, check):
    def fill(turn):
        for number in range(FILES):
            write(server.place, f"turns/{number}", f"turn {turn:05} ".encode() * (BYTES // 11))

    fill(0)
    server.skep("put", "turns")
    readers = Readers(server)
    for thread in readers.threads:
        thread.start()
    for turn in range(1, turns + 1):
        fill(turn)
        readers.is_writing = True
        done = server.skep("put", "-q", "turns")
        readers.is_writing = False
        if done.returncode != 0:
            check(False, f"put beside readers: {done.stderr}")
    readers.is_over = True
    for thread in readers.threads:
        thread.join()

    for kind, counts in readers.counts.items():
        check(counts.mixed == 0 and counts.looks > 0,
              f"{kind} beside a writer: {counts.looks} looks, {counts.beside} of them while a set was on its way, "
              f"{len(counts.seen)} states of {turns + 1} seen, {counts.refused} refused or broken off, {counts.mixed} mixtures")

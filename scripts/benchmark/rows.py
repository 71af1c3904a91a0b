# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The rows of the table: which work each server does, and which figures come of it."""

import base64
import json
import os
import time

from benchmark import clients
from benchmark.figures import Metric
from benchmark.servers import running
from benchmark.settings import SECRET

IDLE_SECONDS = 10
CROWDS = (200, 2000)
JSON_MIB = 256
# Short transfers end within a few ticks of the clock that CPU is counted by.
DOWNLOADS = 2

COST = Metric("us CPU", slack=1.0)
RATE = Metric("1/s", is_more_better=True)
SHARE = Metric("CPU s/GiB", slack=0.02)
PEAK = Metric("peak MB", slack=1.0)
SPEED = Metric("MiB/s", is_more_better=True)
MEMORY = Metric("KB each", slack=1.0)
THREADS = Metric("threads", base=None, slack=2.0)
JSON_COST = Metric("ms CPU/MiB", base="sha256", slack=0.1)
START = Metric("ms", slack=1.0)
RSS = Metric("MB", slack=0.5)
WAKEUPS = Metric(f"wakes in {IDLE_SECONDS} s", base=None, slack=5.0)


def measure(name, site, table):
    WORK[name](site, Row(name, table))


class Row:
    """Where the figures of one row go."""

    def __init__(self, name, table):
        self.name, self.table = name, table

    def add(self, case, mode, metric, server, value):
        self.table.add((self.name, case, mode, metric.unit), metric, server, value)


def turns(site, servers):
    """The servers, mode by mode, in each round with another one first."""
    for number in range(site.options.rounds):
        for mode in site.options.modes:
            of_mode = [server for server in servers if server.mode == mode]
            first = number % len(of_mode)
            yield from of_mode[first:] + of_mode[:first]


def all_names(site):
    return ["skep", *site.options.peers]


def keep_alive(site, row):
    requests(site, row, all_names(site), "GET 4 KiB, {} connections")


def uncached(site, row):
    requests(site, row, ["skep uncached", "nginx"], "GET 4 KiB, cache off, {} connections")


def requests(site, row, names, title):
    servers = site.servers(names, site.options.modes)
    with running(servers):
        for connections in (1, 16, 64):
            case = title.format(connections)
            for server in turns(site, servers):
                rate, cost = clients.load(server, connections)
                row.add(case, server.mode, COST, server.program, cost)
                row.add(case, server.mode, RATE, server.program, rate)


def connect(site, row):
    servers = site.servers(all_names(site), site.options.modes)
    with running(servers):
        for server in turns(site, servers):
            if server.is_tls:
                # The rate would be that of the caller. wrk, which is faster, resumes sessions.
                row.add("full handshake and GET", server.mode, COST, server.program, clients.handshakes(server))
            else:
                rate, cost = clients.load(server, 16, "Connection: close")
                row.add("new connection and GET", server.mode, COST, server.program, cost)
                row.add("new connection and GET", server.mode, RATE, server.program, rate)


def idle_connections(site, row):
    servers = site.servers(all_names(site), site.options.modes, places=4096)
    for server in turns(site, servers):
        crowd = []
        with running([server]):
            # What the first connections make once is no cost of the others.
            clients.load(server, 4)
            server.settle()
            memory, threads = server.memory(), server.threads()
            try:
                for count in CROWDS:
                    clients.hold(server, crowd, count)
                    server.settle()
                    case = f"{count} idle connections"
                    row.add(case, server.mode, MEMORY, server.program, (server.memory() - memory) / count)
                    row.add(case, server.mode, THREADS, server.program, server.threads() - threads)
            finally:
                for stream in crowd:
                    stream.close()


def json_bodies(site, row):
    size = min(JSON_MIB, site.options.size)
    content = os.path.join(site.folder, "content")
    with open(site.source, "rb") as source, open(content, "wb") as target:
        target.write(source.read(size << 20))
    imported, loaded = os.path.join(site.folder, "import"), os.path.join(site.folder, "load")
    with open(imported, "w", encoding="ascii") as file, open(content, "rb") as raw:
        file.write(json.dumps({"password": SECRET, "filename": "json", "content_b64": ""})[:-2])
        # A multiple of three, so that there is no padding within.
        while piece := raw.read(3 << 18):
            file.write(base64.b64encode(piece).decode())
        file.write('"}')
    with open(loaded, "w", encoding="ascii") as file:
        json.dump({"password": SECRET, "filename": "json", "filenames": ["json"]}, file)
    servers = site.servers(["skep"], ["plain"])
    with running(servers):
        for _ in range(site.options.rounds):
            for server in servers:
                for case, body, path in (("import", imported, "import_model"), ("load", loaded, "load_model")):
                    arguments = ["-H", "Content-Type: application/json", "-X", "POST", "-T", body, "-o", os.devnull]
                    spent, _ = spending(server, *arguments, f"{server.base()}/{path}")
                    row.add(f"JSON {case}", server.mode, JSON_COST, "skep", spent * 1000 / size)
                    digest = clients.digest_seconds(content)
                    row.add(f"JSON {case}", server.mode, JSON_COST, "sha256", digest * 1000 / size)
    for path in (content, imported, loaded):
        os.unlink(path)


def spending(server, *arguments):
    """Server CPU in seconds, and seconds, of what curl does."""
    server.settle()
    before = server.cpu()
    seconds = clients.curl(server, *arguments)
    server.settle()
    return server.cpu() - before, seconds


def download(site, row):
    servers = site.servers(all_names(site), site.options.modes)
    with running(servers):
        for server in turns(site, servers):
            arguments = ["-o", os.devnull, server.url("large")] * DOWNLOADS
            transfer(server, row, "download", DOWNLOADS, arguments)


def upload(site, row):
    servers = site.servers(all_names(site), site.options.modes)
    digest = 0.0
    with running(servers):
        for server in turns(site, servers):
            target = server.url("upload")
            share = transfer(server, row, "upload", 1, ["-T", site.source, target])
            clients.curl(server, "-X", "DELETE", "-o", os.devnull, target)
            if server.program == "nginx":
                digest = clients.digest_seconds(site.source) / (site.options.size / 1024)
                row.add("upload", server.mode, SHARE, "sha256", digest)
                row.add("upload, nginx and a SHA-256", server.mode, SHARE, "nginx", share + digest)
            if server.program == "skep":
                row.add("upload, nginx and a SHA-256", server.mode, SHARE, "skep", share)


def transfer(server, row, case, count, arguments):
    server.forget_peak()
    spent, seconds = spending(server, *arguments)
    size = server.site.options.size * count
    row.add(case, server.mode, SHARE, server.program, spent / (size / 1024))
    row.add(case, server.mode, PEAK, server.program, server.memory("VmHWM") / 1024)
    row.add(case, server.mode, SPEED, server.program, size / seconds)
    return spent / (size / 1024)


def start(site, row):
    servers = site.servers(all_names(site), site.options.modes)
    for server in servers:
        # The first start makes what is missing.
        server.start()
        server.settle()
        server.stop()
    for _ in range(3):
        for server in turns(site, servers):
            seconds = server.start()
            server.stop()
            row.add("start to first answer", server.mode, START, server.program, seconds * 1000)


def idle(site, row):
    servers = site.servers(all_names(site), site.options.modes)
    for _ in range(site.options.rounds):
        with running(servers):
            # Until those who said goodbye to the last caller are gone.
            time.sleep(3)
            before = [server.wakeups() for server in servers]
            time.sleep(IDLE_SECONDS)
            for server, earlier in zip(servers, before):
                more = [now - earlier.get(thread, 0) for thread, now in server.wakeups().items()]
                row.add("idle, all processes", server.mode, RSS, server.program, server.memory() / 1024)
                row.add("idle, all processes", server.mode, WAKEUPS, server.program, sum(more))
                row.add("idle, all processes", server.mode, THREADS, server.program, server.threads())


WORK = {
    "keep-alive": keep_alive,
    "uncached": uncached,
    "connect": connect,
    "idle-connections": idle_connections,
    "json": json_bodies,
    "download": download,
    "upload": upload,
    "start": start,
    "idle": idle,
}
NAMES = list(WORK)


def in_order(names):
    return [name for name in NAMES if name in names]

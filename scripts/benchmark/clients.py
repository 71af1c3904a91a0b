# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The callers: crowds by wrk, transfers by curl, handshakes and idle connections by Python."""

import hashlib
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time

from benchmark.settings import SECRET

FIELD = f"Authorization: Bearer {SECRET}"
HANDSHAKE_THREADS = 4
TIMEOUT = 30


def anyone():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


CONTEXT = anyone()


def connect(server):
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return CONTEXT.wrap_socket(raw) if server.is_tls else raw


def ask(stream, path, *fields):
    """Sends a GET and returns the first line of the answer, which is read to its end."""
    stream.sendall("\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", FIELD, *fields, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += received(stream)
    head, _, content = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    missing = int(length.group(1)) - len(content)
    while missing > 0:
        missing -= len(received(stream))
    return head.split(b"\r\n")[0]


def received(stream):
    piece = stream.recv(65536)
    if not piece:
        raise OSError("the server hung up within an answer")
    return piece


def answers(server, path):
    try:
        with connect(server) as stream:
            return b" 200 " in ask(stream, path, "Connection: close") + b" "
    except OSError:
        return False


def load(server, connections, *fields):
    """Has wrk ask for the small file; returns requests per second and server CPU in us for each."""
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", str(server.site.options.seconds)]
    for field in (FIELD, *fields):
        command += ["-H", field]
    before = server.cpu()
    said = subprocess.run([*command, server.url("small")], capture_output=True, text=True, check=True).stdout
    spent = server.cpu() - before
    count = int(re.search(r"(\d+) requests in", said).group(1))
    if "Non-2xx" in said or "Socket errors" in said or not count:
        server.fail(f"fails under load: {said}")
    rate = float(re.search(r"Requests/sec: +([\d.]+)", said).group(1))
    return rate, spent / count * 1e6


def handshakes(server):
    """Opens TLS connections for one GET each, never with a session of before; returns us of CPU."""
    path = f"{server.prefix}/small"
    counts, failures = [0] * HANDSHAKE_THREADS, []
    end = time.monotonic() + server.site.options.seconds

    def caller(number):
        try:
            while time.monotonic() < end and not failures:
                with connect(server) as stream:
                    if b" 200 " not in ask(stream, path, "Connection: close"):
                        raise OSError("a bad answer")
                    if stream.session_reused:
                        raise OSError("a resumed session")
                counts[number] += 1
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=caller, args=[number]) for number in range(HANDSHAKE_THREADS)]
    before = server.cpu()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        server.fail(f"fails new connections: {failures[0]}")
    return (server.cpu() - before) / sum(counts) * 1e6


def hold(server, crowd, count):
    """Adds connections that have had an answer to the crowd, until it has `count` of them."""
    while len(crowd) < count:
        stream = connect(server)
        crowd.append(stream)
        if b" 200 " not in ask(stream, f"{server.prefix}/small"):
            server.fail(f"refuses connection {len(crowd)} of {count}")


def curl(server, *arguments):
    """Returns the seconds it took."""
    command = ["curl", "-sSfk", "--max-time", "300", "-H", FIELD, *arguments]
    started = time.monotonic()
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except subprocess.CalledProcessError as error:
        server.fail(f"fails: {' '.join(command[6:])}: {error.stderr.decode()}")
    return time.monotonic() - started


def digest_seconds(path):
    """User CPU of one SHA-256 of the file, without reading it."""
    digest, spent = hashlib.sha256(), 0.0
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            started = time.process_time()
            digest.update(piece)
            spent += time.process_time() - started
    return spent


class Usage:
    """How busy the machine is with what is not the bench."""

    def __init__(self):
        self.started, self.busy, self.own = time.monotonic(), busy_seconds(), sum(os.times()[:4])

    def others(self):
        """Processors in use by others, on average; all servers and clients must have ended."""
        spent = (busy_seconds() - self.busy) - (sum(os.times()[:4]) - self.own)
        return round(max(0.0, spent / (time.monotonic() - self.started)), 2)


def busy_seconds():
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

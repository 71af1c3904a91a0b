# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A server whose log is read, and a proxy that cuts connections."""

import os
import re
import socket
import subprocess
import threading
import time
import urllib.parse

LINE = re.compile(r"^\S+ info \S+ \S+ (?P<method>[A-Z]+) (?P<path>\S+) (?P<status>\d+) (?P<bytes>\d+) \d+ms")

# What a server of its own must not take from the machine: other authorities, other ways out, other accounts.
FOREIGN = re.compile(r"^(HF_|HUGGING|SKEP_|SSL_|REQUESTS_|CURL_|NODE_|PYTHON|https?_proxy$|all_proxy$)", re.IGNORECASE)


class Answered:
    def __init__(self, method, path, status, size):
        self.method, self.path = method, urllib.parse.urlsplit(path).path
        self.status, self.bytes = int(status), int(size)

    def __str__(self):
        return f"{self.method} {self.path} {self.status} {self.bytes}"

    def is_content(self):
        return self.method == "GET" and "/resolve/" in self.path


class Server:
    def __init__(self, binary, place, way):
        self.binary, self.place, self.way = binary, place, way
        self.home, self.log = f"{place}/home", f"{place}/log"
        os.makedirs(self.home, mode=0o700)
        plain = ["--plain"] if way == "plain" else []
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [binary, "serve", "127.0.0.1", "--port", "0", "--dir", f"{place}/models", *plain],
                stdout=subprocess.PIPE, stderr=log, text=True, env=self.own())
        found = re.search(r"https?://\S+", self.process.stdout.readline())
        if not found:
            with open(self.log, encoding="utf-8") as log:
                raise RuntimeError(f"the server does not start: {log.read()}")
        self.url = found.group(0).rstrip("/")
        self.port = urllib.parse.urlsplit(self.url).port
        self.token = self.skep("token", "new", "clients", "--hf", "-q").split()[-1]
        self.offset = 0

    def own(self):
        return {**{key: value for key, value in os.environ.items() if not FOREIGN.match(key)}, "SKEP_HOME": self.home}

    def skep(self, *words):
        environment = {**self.own(), "SKEP_SERVER": getattr(self, "url", "")}
        done = subprocess.run([self.binary, *words], capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise RuntimeError(f"skep {' '.join(words)}: {done.stderr}")
        return done.stdout

    def environment(self, home, port=None):
        """What a client finds."""
        certificate = f"{self.home}/server.crt"
        url = self.url.replace(f":{self.port}", f":{port or self.port}")
        trust = {} if self.way == "plain" else {"SSL_CERT_FILE": certificate, "REQUESTS_CA_BUNDLE": certificate,
                                                "NODE_EXTRA_CA_CERTS": certificate}
        kept = {key: value for key, value in os.environ.items() if not FOREIGN.match(key)}
        return {**kept, **trust, "HOME": home, "HF_HOME": home, "HF_ENDPOINT": f"{url}/hf", "HF_TOKEN": self.token,
                "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_COLOR": "1",
                "PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": "127.0.0.1", "COLUMNS": "200"}

    def answered(self):
        """What was answered since the last time; a request of its own shows that the log has all of it."""
        marker = f"/v1/models/marker-{self.offset}"
        bearer = f"Authorization: Bearer {self.token}"
        subprocess.run(["curl", "-sk", "-o", os.devnull, "-H", bearer, self.url + marker], check=True, env=self.own())
        end = time.monotonic() + 60
        while True:
            with open(self.log, "rb") as file:
                file.seek(self.offset)
                text = file.read().decode()
            if f" GET {marker} " in text:
                break
            if time.monotonic() > end:
                raise RuntimeError(f"the log does not tell of {marker}: {text}")
            time.sleep(0.01)
        self.offset += len(text.encode())
        found = (LINE.match(line) for line in text.splitlines())
        return [Answered(*one.groups()) for one in found if one and "marker-" not in one["path"]]

    def resident(self):
        """The largest resident memory until now, in MiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) // 1024

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class Cutter:
    """A port in front of a server. The first connection that has brought so many bytes back is cut, and no other one."""

    def __init__(self, port, size):
        self.port_of_server, self.size, self.is_done = port, size, False
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port_of_server))
            threading.Thread(target=self.pass_on, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(server, client, self.size), daemon=True).start()

    def pass_on(self, source, sink, limit):
        passed = 0
        try:
            while part := source.recv(65536):
                if limit and passed + len(part) > limit and self.cuts():
                    break
                sink.sendall(part)
                passed += len(part)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cuts(self):
        with self.lock:
            was_done, self.is_done = self.is_done, True
        return not was_done

    def end(self):
        self.listener.close()

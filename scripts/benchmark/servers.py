# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The servers that are measured: their files, start, end, and what they use."""

import contextlib
import os
import signal
import subprocess
import sys
import time

from benchmark import clients, settings

SMALL_BYTES = 4096
START_SECONDS = 15


class Site:
    """What all servers share: options, folders, files, the certificate."""

    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.root = os.path.join(folder, "models")
        self.cert, self.key = os.path.join(folder, "cert"), os.path.join(folder, "key")
        self.source = os.path.join(folder, "source")
        self.next_port = 2000
        self.skep_settings = settings.known_settings(options.binary, os.path.join(folder, "home"))
        self.server_processors, self.client_processors = processors(options.pin)
        os.sched_setaffinity(0, self.client_processors)
        os.mkdir(self.root)
        self.make_files()
        self.make_certificate()

    def make_files(self):
        with open(os.path.join(self.root, "small"), "wb") as small:
            small.write(os.urandom(SMALL_BYTES))
        piece = os.urandom(1 << 20)
        with open(self.source, "wb") as source:
            for _ in range(self.options.size):
                source.write(piece)
        os.link(self.source, os.path.join(self.root, "large"))

    def make_certificate(self):
        command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 -subj /CN=localhost"
        command += f" -addext subjectAltName=IP:127.0.0.1 -keyout {self.key} -out {self.cert}"
        subprocess.run(command.split(), check=True, stderr=subprocess.DEVNULL)
        os.chmod(self.key, 0o600)

    def servers(self, names, modes, places=512):
        return [Server(self, name, mode, places) for mode in modes for name in names]


class Server:
    """One server in one mode, 'plain' or 'TLS'; 'skep uncached' is skep without its cache."""

    def __init__(self, site, name, mode, places):
        self.site, self.name, self.mode, self.places = site, name, mode, places
        self.is_tls, self.is_cache_off = mode == "TLS", name == "skep uncached"
        self.program = name.split()[0]
        self.prefix = "/v1/models" if self.program == "skep" else ""
        self.home = os.path.join(site.folder, f"{name}-{mode}".replace(" ", "-"))
        os.makedirs(self.home, exist_ok=True)
        self.root = site.root
        if self.program == "skep":
            self.give_own_root()
        self.port, self.process = 0, None

    def give_own_root(self):
        """A skep locks its directory, so that each has one of its own."""
        self.root = os.path.join(self.home, "models")
        os.makedirs(self.root, exist_ok=True)
        for model in ("small", "large"):
            if not os.path.exists(os.path.join(self.root, model)):
                os.link(os.path.join(self.site.root, model), os.path.join(self.root, model))

    def start(self):
        """Starts it and returns the seconds until it answered."""
        # Nobody else is in this namespace: every port is free.
        self.site.next_port += 1
        self.port = self.site.next_port
        command = settings.COMMANDS[self.program](self)
        environment = dict(os.environ, SKEP_HOME=os.path.join(self.home, "home"), SKEP_PASSWORD=settings.SECRET)
        os.sched_setaffinity(0, self.site.server_processors)
        with open(os.path.join(self.home, "said"), "wb") as said:
            started = time.monotonic()
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        os.sched_setaffinity(0, self.site.client_processors)
        path = "/healthz" if self.program == "skep" else "/small"
        while not clients.answers(self, path):
            if self.process.poll() is not None or time.monotonic() > started + START_SECONDS:
                self.fail(f"does not start: {' '.join(command)}")
            time.sleep(0.0002)
        return time.monotonic() - started

    def fail(self, message):
        with open(os.path.join(self.home, "said"), encoding="utf-8", errors="replace") as said:
            sys.exit(f"bench: {self.name} ({self.mode}) {message}\n{said.read()[-2000:]}")

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def url(self, model):
        return f"{self.base()}{self.prefix}/{model}"

    def base(self):
        return f"{'https' if self.is_tls else 'http'}://127.0.0.1:{self.port}"

    def settle(self):
        """Waits until it has nothing left to do, such as digesting what it found."""
        before = -1
        while before != self.cpu():
            before = self.cpu()
            time.sleep(0.1)

    def processes(self):
        """It and what it started."""
        found, left = [], [self.process.pid]
        while left:
            found.append(left.pop())
            # None of them starts processes from another thread than its first one.
            with open(f"/proc/{found[-1]}/task/{found[-1]}/children", encoding="ascii") as children:
                left += [int(child) for child in children.read().split()]
        return found

    def cpu(self):
        """Seconds of user and system time until now."""
        ticks = 0
        for process in self.processes():
            with open(f"/proc/{process}/stat", encoding="utf-8") as stat:
                ticks += sum(int(field) for field in stat.read().rsplit(")")[1].split()[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self, field="VmRSS"):
        """KiB of all processes, now (VmRSS) or at most (VmHWM)."""
        return sum(status(f"/proc/{process}", field) for process in self.processes())

    def forget_peak(self):
        for process in self.processes():
            with open(f"/proc/{process}/clear_refs", "w", encoding="ascii") as clear:
                clear.write("5")

    def threads(self):
        return sum(status(f"/proc/{process}", "Threads") for process in self.processes())

    def wakeups(self):
        """How often each thread has waited."""
        counts = {}
        for process in self.processes():
            for thread in os.listdir(f"/proc/{process}/task"):
                counts[thread] = status(f"/proc/{process}/task/{thread}", "voluntary_ctxt_switches")
        return counts


@contextlib.contextmanager
def running(servers):
    """Has these servers run, warm and idle, for as long as the block lasts."""
    try:
        for server in servers:
            server.start()
        # skep digests a file only once it is older than a tick of the clock.
        time.sleep(0.2)
        for server in servers:
            clients.curl(server, "-o", os.devnull, server.url("small"))
            server.settle()
        yield
    finally:
        for server in servers:
            server.stop()


def status(folder, field):
    with open(f"{folder}/status", encoding="utf-8") as lines:
        fields = dict(line.split(":", 1) for line in lines)
    return int(fields[field].split()[0])


def processors(is_pinned):
    """The processors of servers and of clients."""
    all_of_them = sorted(os.sched_getaffinity(0))
    if not is_pinned:
        return all_of_them, all_of_them
    return all_of_them[: (len(all_of_them) + 1) // 2], all_of_them[len(all_of_them) // 2 :]


def version(binary):
    return subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout.strip()

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Runs tests in processes of their own, within limits, and leaves nothing of them behind."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

# A changed program may take all memory. Browsers reserve far more addresses, which this does not count.
MEMORY = 8 << 30
# And all of the disk.
FILE = 2 << 30
# Tests wait for the disk all the time, and so would everybody else: their files are in memory. Paths of
# sockets have 107 bytes, so the folder is near the root.
PLACE = "/dev/shm" if os.path.isdir("/dev/shm") else "/tmp"


class Programs:
    """The programs of unit and of integration tests."""

    def __init__(self, programs, folder):
        self.programs = programs
        self.folder = folder
        self.running = {}
        self.is_stopped = False

    def tests(self):
        """All tests as (program, name). For those of `house`, which read the sources, a change is a fault of
        style."""
        for program in ("skep", "it"):
            listed = subprocess.run([self.programs[program], "--list", "--format", "terse"], cwd=self.folder,
                                    stdout=subprocess.PIPE, check=True, text=True).stdout
            for line in listed.splitlines():
                name = line.removesuffix(": test")
                if name != line and not name.startswith("house::"):
                    yield program, name

    def run(self, program, names, limit, **variables):
        """Runs tests of one program. Returns what became of them ('passed', 'failed', 'late' or 'stopped'),
        the seconds it took, and the names among which the one that failed is."""
        place = tempfile.mkdtemp(prefix="mu-", dir=PLACE)
        printed = tempfile.TemporaryFile(dir=PLACE)
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()},
                       "TMPDIR": place, "MUTATION_PLACE": place, "PROPTEST_RNG_SEED": "1",
                       "RUST_BACKTRACE": "0"}
        started = time.monotonic()
        process = subprocess.Popen(
            ["prlimit", f"--data={MEMORY}", f"--fsize={FILE}", "--core=0", self.programs[program],
             "--exact", *names, "--test-threads", "1"],
            cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=printed,
            stderr=subprocess.DEVNULL, start_new_session=True)
        self.running[process.pid] = process
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            seconds = time.monotonic() - started
            self.end(process, place)
            del self.running[process.pid]
        printed.seek(0)
        output = printed.read().decode(errors="replace")
        printed.close()

        if self.is_stopped:
            return "stopped", seconds, []
        if code is None:
            return "late", seconds, names
        failed = re.findall(r"^test (\S+).* \.\.\. FAILED", output, re.MULTILINE)
        return "failed" if code else "passed", seconds, failed[:1] or names

    def end(self, process, place):
        """Ends what is left of a test, its group and by their environment those that left it, and removes
        its files."""
        mark = f"MUTATION_PLACE={place}".encode()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{number}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        os.kill(int(number), signal.SIGKILL)
            except OSError:
                pass
        process.wait()
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            mounted = [line.split()[1] for line in mounts if line.split()[1].startswith(place + "/")]
        for path in reversed(mounted):
            subprocess.run(["umount", "-l", path], check=False)
        shutil.rmtree(place, ignore_errors=True)

    def stop(self):
        self.is_stopped = True
        for process in list(self.running.values()):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A server, and those who call it."""

import glob
import http.client
import json
import os
import re
import signal
import subprocess


class Server:
    def __init__(self, binary, place):
        self.binary, self.place = binary, place
        self.home, self.directory = f"{place}/home", f"{place}/models"
        os.mkdir(self.home, 0o700)
        self.command = [binary, "serve", "--listen", "127.0.0.1:0", "--plain", "--dir", self.directory]
        self.command += ["--keep-versions", "3", "--max-version-share", "none"]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        env=self.environment())
        line = self.process.stdout.readline()
        self.url = re.search(r"http://\S+", line).group(0).rstrip("/")

    def environment(self):
        url = getattr(self, "url", None)
        return {**os.environ, "SKEP_HOME": self.home, **({"SKEP_SERVER": url} if url else {})}

    def skep(self, *words, before=()):
        return subprocess.run([*before, self.binary, *words], cwd=self.place, capture_output=True, text=True, check=False,
                              env=self.environment())

    def caller(self):
        with open(f"{self.home}/password", encoding="ascii") as file:
            return Caller(self.url.removeprefix("http://"), file.read().strip())

    def has_record(self):
        """Whether a commit is decided whose steps are not all done."""
        return bool(glob.glob(f"{self.directory}/.skep/changes/*/commit"))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        self.process.terminate()
        self.process.wait()


class Caller:
    """One connection."""

    def __init__(self, address, secret):
        self.connection = http.client.HTTPConnection(address, timeout=120)
        self.fields = {"Authorization": f"Bearer {secret}"}

    def ask(self, method, path, content=None):
        """Status, fields and content of the answer."""
        self.connection.request(method, path, body=content, headers=self.fields)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def get_json(self, path):
        """The answer; `None` if it is an error."""
        status, _, content = self.ask("GET", path)
        return json.loads(content) if status == 200 else None

    def begin(self, contents, root=None):
        """A change set with all of that in it; its path."""
        status, fields, content = self.ask("POST", f"/v1/changes?root={root}" if root else "/v1/changes")
        if status != 201:
            raise RuntimeError(content.decode())
        path = fields["location"]
        for name, bytes_of_it in contents.items():
            status, _, content = self.ask("PUT", f"{path}/{name}", bytes_of_it)
            if status not in (200, 201):
                raise RuntimeError(content.decode())
        return path

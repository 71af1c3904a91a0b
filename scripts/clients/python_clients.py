# SPDX-License-Identifier: Apache-2.0 OR MIT
"""huggingface_hub of several generations, its command line, and the programs on top of it."""

import hashlib
import os
import shutil

from . import installing
from .running import Client, Failed, Skipped, fetched, same_tree
from .servers import Cutter

HERE = os.path.dirname(os.path.abspath(__file__))
VERSIONS = {"newest": "huggingface_hub", "1.33.0": "huggingface_hub==1.33.0", "0.36.2": "huggingface_hub==0.36.2",
            "0.20.3": "huggingface_hub==0.20.3"}
ROWS = ["account", "create", "commits", "folder", "large_folder", "filesystem", "references", "removal", "copy", "move", "lists",
        "metadata", "settings", "background", "ahead"]

# Several times what clients write down at one time, and more than the cut leaves of it.
CUT_FILE, CUT_AFTER = 48 << 20, 30 << 20


class Hub(Client):
    """One version, with or without hf_xet."""

    def __init__(self, version, xet):
        self.version, self.xet = version, xet
        self.name = f"{version}{'+xet' if xet else ''}"
        self.rows = {"cli_upload": self.cli_upload, "cli_download": self.cli_download, "cli_others": self.cli_others,
                     "cli_verify": self.cli_verify, "snapshot": self.snapshot, "resume": self.resume,
                     **{row: lambda row=row: self.python(row) for row in ROWS}}

    def install(self, interop):
        packages = [VERSIONS[self.version], "requests", *(["hf_xet"] if self.xet else [])]
        if self.version == "0.20.3":
            packages.append("setuptools")
        self.programs = installing.python(interop, f"huggingface_hub-{self.name}", packages, () if self.xet else ("hf_xet",))

    def python(self, row, **more):
        return self.run(f"{self.programs}/python", f"{HERE}/python_rows.py", row, **more)

    def cli(self, *words, **more):
        program = f"{self.programs}/hf"
        if not os.path.exists(program):
            program = f"{self.programs}/huggingface-cli"
        return self.run(program, *words, **more)

    def cli_upload(self):
        self.cli("upload", "me/big", self.source, ".")
        same_tree(self.source, f"{self.server.place}/models/me/big")
        sent = [one for one in self.server.answered() if one.method in ("PUT", "POST")]
        ways = {"xorbs": "/v1/xorbs/", "LFS": "/lfs/"}
        told = [f"{sum(part in one.path for one in sent)} {way}" for way, part in ways.items()]
        self.cli("upload", "me/big", self.source, ".")
        again = [one for one in self.server.answered() if "/v1/xorbs/" in one.path or one.method == "PUT"]
        return f"{', '.join(told)}; again: {len(again)}; server {self.server.resident()} MiB"

    def cli_download(self):
        if not os.path.exists(f"{self.server.place}/models/me/big"):
            self.server.skep("put", "-q", self.source, "--name", "me/big")
        self.cli("download", "me/big", "--local-dir", "down-big")
        same_tree(self.source, f"{self.place}/down-big")
        shutil.rmtree(f"{self.place}/down-big")
        self.cli("download", "me/big", "config.json")
        content = [one for one in self.server.answered() if one.is_content()]
        return f"{fetched(content) >> 20} MiB in {len(content)} answers; server {self.server.resident()} MiB"

    def cli_others(self):
        if self.version == "0.20.3":
            self.cli("whoami")
            return "whoami"
        done = ["auth whoami", "upload FILE --revision", "download --revision"]
        told = self.cli("auth", "whoami")
        if "clients" not in told:
            raise Failed(f"auth whoami: {told}")
        with open(f"{self.place}/one.txt", "w", encoding="ascii") as file:
            file.write("one")
        repo = "repo" if self.version == "0.36.2" else "repos"
        self.cli(repo, "create", "me/cli")
        if repo == "repos":
            self.cli(repo, "branch", "create", "me/cli", "dev")
            self.cli(repo, "tag", "create", "me/cli", "v1")
            done += ["repos branch", "repos tag", "models ls", "repos delete-files", "repos move", "repos delete"]
        else:
            self.python("branch_for_cli")
        self.cli("upload", "me/cli", "one.txt", "sub/one.txt", "--revision", "dev")
        self.cli("download", "me/cli", "sub/one.txt", "--revision", "dev", "--local-dir", "cli")
        with open(f"{self.place}/cli/sub/one.txt", encoding="ascii") as file:
            if file.read() != "one":
                raise Failed("what was downloaded differs")
        if repo == "repos":
            if "me/cli" not in self.cli("models", "ls", "--author", "me", "--limit", "100"):
                raise Failed("models ls does not tell me/cli")
            self.cli(repo, "delete-files", "me/cli", "sub/one.txt", "--revision", "dev")
            self.cli(repo, "move", "me/cli", "me/cli2")
            self.cli(repo, "delete", "me/cli2", "--yes")
        return ", ".join(done)

    def cli_verify(self):
        if "verify" not in self.cli("cache", "--help", any_status=True):
            raise Skipped("no cache verify")
        for name in ("config.json", "README.md"):
            self.server.skep("put", "-q", f"{self.source}/{name}", "--name", f"me/verify/{name}")
        self.python("verified")
        self.cli("cache", "verify", "me/verify")
        with open(self.blob("me/verify", "config.json"), "a", encoding="ascii") as file:
            file.write("more")
        broken = self.cli("cache", "verify", "me/verify", any_status=True)
        if "verification failed" not in broken.lower():
            raise Failed(f"a changed file is not told: {broken}")
        return "a changed file is told"

    def blob(self, repository, name):
        folder = f"{self.place}/hub/models--{repository.replace('/', '--')}/snapshots"
        return os.path.realpath(f"{folder}/{os.listdir(folder)[0]}/{name}")

    def snapshot(self):
        self.python("snapshot")
        self.server.answered()
        self.python("snapshot_again")
        answered = self.server.answered()
        if any(one.is_content() for one in answered):
            raise Failed("; ".join(map(str, answered)))
        return f"second time {len(answered)} answers, no content, {fetched(answered)} bytes of JSON"

    def resume(self):
        large = os.urandom(CUT_FILE)
        with open(f"{self.place}/large.bin", "wb") as file:
            file.write(large)
        self.server.skep("put", "-q", f"{self.place}/large.bin", "--name", "me/cut/large.bin")
        cutter, digest = Cutter(self.server.port, CUT_AFTER), hashlib.sha256(large).hexdigest()
        try:
            told, calls = "", 0
            while digest not in told and calls < 3:
                told = self.python("fetch", port=cutter.port, any_status=True)
                calls += 1
        finally:
            cutter.end()
        if digest not in told or not cutter.is_done:
            raise Failed(told)
        content = [one for one in self.server.answered() if one.is_content()]
        by_range = "by a range" if any(one.status == 206 for one in content) else "from the beginning"
        return f"whole in call {calls}, {by_range}"


class Programs(Client):
    """transformers and datasets."""

    name = "programs"

    def __init__(self):
        rows = ["config_and_tokenizer", "push", "parquet", "json_lines", "push_dataset"]
        self.rows = {row: lambda row=row: self.run(f"{self.programs}/python", f"{HERE}/program_rows.py", row) for row in rows}

    def install(self, interop):
        self.programs = installing.python(interop, "programs", ["transformers", "datasets", "jinja2"])

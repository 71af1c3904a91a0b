# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A copy of the tree with all changes compiled in, built into one program for each kind of test."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Tests and what prints are no guards.
EXCLUDED = ["--exclude", "**/tests.rs", "--exclude", "src/http/fuzz.rs",
            "--exclude", "src/formats/fuzz_formats.rs",
            "--exclude-re", "impl.*(Debug|Display) for"]

# Faults of one kind hide those of the next one, so a build takes some rounds; more are a fault of this.
ROUNDS = 30


class Tree:
    """What is tried, where its programs are, and where the results belong."""

    def __init__(self, target, files):
        self.out = os.path.join(target, "mutants")
        self.tools = os.path.join(target, "tools")
        self.copy = os.path.join(self.out, "tree")
        os.makedirs(self.out, exist_ok=True)
        self.changes = self.list_changes(files)
        self.programs = {}
        self.woven = set()

    def path(self, name):
        return os.path.join(self.out, name)

    def list_changes(self, files):
        program = os.path.join(self.tools, "bin", "cargo-mutants")
        if not os.path.exists(program):
            program = shutil.which("cargo-mutants")
        if program is None:
            build = os.path.join(self.tools, "build")
            subprocess.run(["cargo", "install", "--locked", "--root", self.tools, "cargo-mutants"],
                           env={**os.environ, "CARGO_TARGET_DIR": build}, check=True)
            shutil.rmtree(build)
            program = os.path.join(self.tools, "bin", "cargo-mutants")
        chosen = [word for name in files for word in ("--file", name)]
        listed = subprocess.run([program, "mutants", "--list", "--json", *chosen, *EXCLUDED],
                                cwd=TOP, stdout=subprocess.PIPE, check=True).stdout
        return json.loads(listed)

    def prepare(self):
        """Writes the copy and builds it, without what does not compile."""
        names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                               cwd=TOP, stdout=subprocess.PIPE, check=True, text=True).stdout
        files = {name for name in names.splitlines() if os.path.isfile(os.path.join(TOP, name))}
        self.begin(files)
        changed = {change["file"] for change in self.changes}
        for name in sorted(files - changed - {"src/lib.rs"}):
            copy_changed(os.path.join(TOP, name), os.path.join(self.copy, name))
        for folder, _, there in os.walk(self.copy):
            for name in there:
                path = os.path.relpath(os.path.join(folder, name), self.copy)
                if path not in files and path != "src/mutation.rs":
                    os.remove(os.path.join(self.copy, path))
        self.build()

    def begin(self, files):
        """Results of another tree are laid aside: its changes may have other places, its tests other ends."""
        digest = hashlib.sha256(json.dumps(self.changes).encode())
        for name in sorted(files):
            with open(os.path.join(TOP, name), "rb") as file:
                if name.split("/")[0] in ("src", "tests", "Cargo.toml", "Cargo.lock"):
                    digest.update(name.encode() + hashlib.sha256(file.read()).digest())
        if read(self.path("digest")) != digest.hexdigest():
            if os.path.exists(self.path("results")):
                os.replace(self.path("results"), self.path("results.before"))
            for name in ("reached", "dropped"):
                if os.path.exists(self.path(name)):
                    os.remove(self.path(name))
            write(self.path("digest"), digest.hexdigest())

    def build(self):
        weave = self.build_weave()
        dropped = set(map(int, read(self.path("dropped")).split()))
        write(self.path("changes"), json.dumps(self.changes))
        lib = "#![allow(warnings)]\n" + read(os.path.join(TOP, "src/lib.rs")) + "pub mod mutation;\n"
        os.makedirs(os.path.join(self.copy, "src"), exist_ok=True)
        for _ in range(ROUNDS):
            woven = json.loads(subprocess.run(
                [weave, self.path("changes"), TOP, self.copy], text=True, check=True,
                input=" ".join(map(str, dropped)), stdout=subprocess.PIPE).stdout)
            write_changed(os.path.join(self.copy, "src/lib.rs"), lib)
            faults = self.compile(woven["places"])
            write(self.path("dropped"), " ".join(map(str, sorted(dropped | faults))))
            if not faults:
                self.woven = set(woven["woven"])
                return
            print(f"mutants: {len(faults)} changes do not compile", flush=True)
            dropped |= faults
        sys.exit(f"mutants: after {ROUNDS} rounds the changes still do not compile")

    def build_weave(self):
        """The generator, built with the versions that the project has."""
        folder = self.path("weave")
        here = os.path.dirname(os.path.abspath(__file__))
        for name in ("Cargo.toml", "weave.rs"):
            copy_changed(os.path.join(here, name), os.path.join(folder, name))
        copy_changed(os.path.join(TOP, "Cargo.lock"), os.path.join(folder, "Cargo.lock"))
        target = os.path.join(folder, "target")
        subprocess.run(["cargo", "build", "--quiet"], cwd=folder, check=True,
                       env={**os.environ, "CARGO_TARGET_DIR": target})
        return os.path.join(target, "debug", "weave")

    def compile(self, places):
        """Builds the programs. Returns the changes at which the compiler finds faults."""
        build = subprocess.run(
            ["cargo", "test", "--locked", "--no-run", "--lib", "--test", "it", "--message-format=json"],
            cwd=self.copy, env={**os.environ, "CARGO_TARGET_DIR": self.path("build")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        faults, unknown = set(), []
        for line in build.stdout.splitlines():
            message = json.loads(line)
            if message.get("executable") and message["profile"]["test"]:
                self.programs[message["target"]["name"]] = message["executable"]
            found = message.get("message", {})
            if isinstance(found, dict) and found.get("level") == "error" and found["spans"]:
                at = blamed(found["spans"], places)
                faults |= at
                if not at:
                    unknown.append(found["rendered"])
        if build.returncode and not faults:
            sys.exit("".join(unknown) + build.stderr + "\nmutants: the copy of the tree does not compile")
        return faults


def blamed(spans, places):
    """The changes of the smallest place around a fault, the fault's own places before those it refers to."""
    for span in sorted(spans, key=lambda span: not span["is_primary"]):
        around = [place for place in places.get(span["file_name"], ())
                  if place[0] <= span["byte_start"] and span["byte_end"] <= place[1] and place[2]]
        if around:
            return set(min(around, key=lambda place: place[1] - place[0])[2])
    return set()


def copy_changed(source, target):
    with open(source, "rb") as file:
        content = file.read()
    if os.path.exists(target):
        with open(target, "rb") as file:
            if file.read() == content:
                return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(source, target)


def write_changed(path, text):
    if read(path) != text:
        write(path, text)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path, text):
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)

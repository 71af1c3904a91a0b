# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Finds out which tests reach which change, and tries each change with the tests that reach it."""

import collections
import concurrent.futures
import json
import os
import tempfile
import threading

# A test has so many times what it takes without a change, and so many seconds more: the machine may be
# busy. So many seconds of unit tests are run at a time, which saves starts.
PATIENCE, GRACE, BATCH = 5, 5, 2
# The longest that a test may take without any change.
LIMIT = 600

# Integration tests are named by what people do, and not by rooms.
PURPOSES = {"client": ["transfer", "folders"], "store": ["store", "folders"], "edge": ["http", "tls"]}


class Trials:
    """Tests, changes, and what was found out, which is written down at once."""

    def __init__(self, tree, programs, jobs):
        self.tree = tree
        self.programs = programs
        self.jobs = jobs
        self.lock = threading.Lock()
        self.reached = collections.defaultdict(list)
        self.results = {result["name"]: result for result in self.lines("results")}

    def lines(self, name):
        """What a run before this one wrote. A last line that was cut off is left out."""
        if not os.path.exists(self.tree.path(name)):
            return
        with open(self.tree.path(name), encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def write(self, name, value):
        with self.lock, open(self.tree.path(name), "a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")

    def each(self, work, things):
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            for done in [pool.submit(work, thing) for thing in things]:
                done.result()

    # Which tests reach which change

    def record(self):
        known = {(line["program"], line["test"]): line for line in self.lines("reached")}
        missing = [test for test in self.programs.tests() if test not in known]
        if missing:
            print(f"mutants: {len(missing)} tests are run once each without a change", flush=True)
        self.each(lambda test: self.record_one(known, *test), missing)
        failing = [line["test"] for line in known.values() if line["end"] != "passed"]
        if failing:
            print(f"mutants: {len(failing)} tests fail without a change and count for nothing:", *failing)
        for line in known.values():
            if line["end"] == "passed":
                for number in line["numbers"]:
                    self.reached[number].append((line["seconds"], line["program"], line["test"]))

    def record_one(self, known, program, test):
        if self.programs.is_stopped:
            return
        with tempfile.NamedTemporaryFile(dir="/tmp") as file:
            end, seconds, _ = self.programs.run(program, [test], LIMIT, MUTATION_REACHED=file.name)
            numbers = sorted(set(map(int, file.read().split())))
        if end not in ("passed", "stopped"):
            # One descriptor more may be what it fails for.
            end, seconds, _ = self.programs.run(program, [test], LIMIT)
        if end != "stopped":
            line = {"program": program, "test": test, "end": end, "seconds": seconds, "numbers": numbers}
            known[program, test] = line
            self.write("reached", line)

    # What notices which change

    def attempt(self, numbers, effort, with_integration):
        """Tries changes, each with unit tests that reach it and take so many seconds without a change, and
        with integration tests that do."""
        self.each(lambda number: self.attempt_one(number, effort, with_integration), numbers)

    def attempt_one(self, number, effort, with_integration):
        if self.programs.is_stopped:
            return
        change = self.tree.changes[number]
        tests = self.in_order(number, change["file"])
        before = self.results.get(change["name"], {"end": "unreached", "seconds": [0, 0]})
        seconds = [effort, effort if with_integration else 0]
        known, chosen = affordable(tests, before["seconds"]), affordable(tests, seconds)
        missing = [test for test in chosen if test not in known]
        if before["end"] in ("caught", "late") or (change["name"] in self.results and not missing):
            return

        result = {"name": change["name"], "end": "survived" if chosen else "unreached",
                  "seconds": seconds, "tests": len(chosen), "of": len(tests)}
        for group in batches(missing):
            end, among = self.noticed(number, group)
            if end == "stopped":
                return
            if end != "passed":
                result |= {"end": "late" if end == "late" else "caught", "by": among}
                break
        self.results[change["name"]] = result
        self.write("results", result)

    def in_order(self, number, file):
        """The tests that reach a change: those of its own file first, then of its room, then integration tests
        with a word of its path in their names and those of what its room is for, and the quickest of them."""
        path = file.removeprefix("src/").removesuffix(".rs").removesuffix("/mod").split("/")
        words = set("_".join(path).split("_"))

        def distance(test):
            names = test[2].split("::")
            shared = words & set("_".join(names).split("_"))
            near = len(os.path.commonprefix([path, names]))
            return -near, -len(shared), names[0] not in PURPOSES.get(path[0], ()), test

        return sorted(self.reached[number], key=distance)

    def noticed(self, number, group):
        """Whether tests notice a change. A test that fails once on a busy machine is not believed, nor is one
        that fails or is as slow without the change at that time."""
        program, tests = group[0][1], [name for _, _, name in group]
        limit = PATIENCE * sum(seconds for seconds, _, _ in group) + GRACE
        names, failed = tests, 0
        while True:
            end, _, names = self.programs.run(program, names, limit, MUTATION_ON=number)
            failed += end == "failed"
            if end in ("passed", "stopped"):
                break
            if end == "failed" and failed < 2:
                continue
            without, seconds, _ = self.programs.run(program, names, LIMIT)
            slower = PATIENCE * seconds + GRACE
            if without != "passed":
                end = "stopped" if without == "stopped" else "passed"
                break
            if end == "failed" or slower <= 2 * limit:
                break
            limit = slower
        return end, names[0] if len(names) == 1 else f"one of {len(names)}"


def affordable(tests, seconds):
    """The first unit tests and the first integration tests that take no longer than so many seconds together,
    but one of them in any case."""
    chosen = []
    for program, most in zip(("skep", "it"), seconds):
        spent = 0
        for test in (test for test in tests if test[1] == program and most):
            spent += test[0]
            if spent > most and spent > test[0]:
                break
            chosen.append(test)
    return chosen


def batches(tests):
    """Groups of unit tests, of which the first two are small, for most changes end there. An integration test
    is a group of its own."""
    groups, spent = [], 0
    for test in tests:
        room = BATCH if len(groups) > 2 else BATCH / 8
        if not groups or test[1] == "it" or spent + test[0] > room:
            groups.append([])
            spent = 0
        groups[-1].append(test)
        spent += test[0]
    return groups

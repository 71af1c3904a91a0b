# SPDX-License-Identifier: Apache-2.0 OR MIT
"""kill -9 of the server at chosen calls of a commit, and what is there before and after the next start."""

import os
import re
import subprocess
import time

from . import tree

FILES = 200
# What changes files or makes them durable.
CALLS = ("write,pwrite64,copy_file_range,ftruncate,fchmod,utimensat,renameat,renameat2,linkat,unlinkat,mkdirat,"
         "fsync,fdatasync,syncfs")
# Commits after which one is as the next: as many versions as are kept.
SETTLED = 5


class Shape:
    """Sets of one kind: where their names are, and which calls the commit of one makes."""

    def __init__(self, what, folders, root):
        self.what, self.root = what, root
        self.names = [f"{folders[number % len(folders)]}/{number:03}" for number in range(FILES)]
        self.calls, self.decided, self.exchanged, self.ended = [], 0, 0, 0
        self.last = None

    def contents(self, turn):
        return {name: f"{self.what} {turn:05} ".encode() * 20 for name in self.names}

    def in_directory(self, directory):
        """What each name has, as one content if all of them have it."""
        found = set()
        for name in self.names:
            path = os.path.join(directory, name)
            found.add(open(path, "rb").read() if os.path.exists(path) else None)
        return found.pop() if len(found) == 1 else found

    def learn(self, trace):
        """Which calls of the thread that commits are the first after the decision and the one that ends it."""
        with open(trace, encoding="utf-8", errors="replace") as file:
            lines = [line.split(None, 1) for line in file]
        thread = next(thread for thread, text in lines if is_decision(text))
        own = [text for other, text in lines if other == thread and "resumed>" not in text and "(" in text]
        self.decided = next(number for number, text in enumerate(own, 1) if is_decision(text))
        exchanges = [number for number, text in enumerate(own, 1) if "RENAME_EXCHANGE" in text]
        self.exchanged = max(exchanges, default=self.decided)
        self.ended = max(number for number, text in enumerate(own, 1) if re.match(r'unlinkat\(.*"commit"', text))

        # strace counts each kind of call of each thread by itself.
        seen = {}
        for text in own:
            kind = text.split("(")[0]
            seen[kind] = seen.get(kind, 0) + 1
            self.calls.append((kind, seen[kind]))


def is_decision(text):
    return bool(re.match(r'rename.*"commit"', text))


def attach(server, trace, call=None):
    """strace at the server, once it sees all threads; it kills at a call."""
    command = ["strace", "-f", "-p", str(server.process.pid), "-o", trace, "-e", f"trace={CALLS}"]
    if call:
        kind, number = call
        command += ["-e", f"inject={kind}:signal=SIGKILL:when={number}"]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in strace.stderr:
        if "attached" in line:
            return strace
    raise RuntimeError("strace cannot attach to the server")


def commit(caller, path):
    """Whether it was answered that it is done."""
    try:
        status, _, content = caller.ask("POST", path)
    except OSError:
        return False
    if status != 200:
        raise RuntimeError(content.decode())
    return True


def in_commits(server, kills, check):
    shapes = [Shape("one folder", ["killed"], "killed"), Shape("two folders", ["left", "right"], None)]
    trace = f"{server.place}/calls"
    for shape in shapes:
        for turn in range(SETTLED):
            caller = server.caller()
            path = caller.begin(shape.contents(turn), shape.root)
            strace = attach(server, trace) if turn == SETTLED - 1 else None
            commit(caller, path)
            if strace:
                strace.terminate()
                strace.wait()
                shape.learn(trace)
        shape.last = shape.in_directory(server.directory)
        exchange = f"exchanged by number {shape.exchanged}, " if shape.exchanged > shape.decided else ""
        print(f"      a commit of {shape.what}: {len(shape.calls)} calls, decided by number {shape.decided}, {exchange}"
              f"ended by number {shape.ended}")

    counts = {}
    for turn in range(kills):
        shape = shapes[turn % len(shapes)]
        kill_one(server, shape, SETTLED + turn, call_of(shape, turn // len(shapes), kills // len(shapes)),
                 counts.setdefault(shape.what, {"before": 0, "between": 0, "after": 0, "old": 0, "new": 0, "half": 0}), check)
    for what, count in counts.items():
        total = count["before"] + count["between"] + count["after"]
        check(count["between"] * 3 >= total,
              f"kill -9 in {total} commits of {what}: {count['before']} before the decision, {count['between']} between it and "
              f"the last step, {count['after']} after that; the directory had {count['old']} times the old state, {count['new']} times "
              f"the new one, {count['half']} times some of both; after the start never both")


def call_of(shape, turn, turns):
    """A quarter of the turns is before the decision, half in the middle, a quarter afterwards, evenly; of the middle, every second
    one is not before the exchange, where there is one."""
    share = (turn + 0.5) / max(turns, 1)
    if share < 0.25:
        first, last, part = 1, shape.decided, share / 0.25
    elif share < 0.75:
        begin = shape.exchanged if turn % 2 else shape.decided + 1
        first, last, part = begin, shape.ended, (share - 0.25) / 0.5
    else:
        first, last, part = shape.ended + 1, len(shape.calls), (share - 0.75) / 0.25
    return first + int(part * (last - first + 1))


def kill_one(server, shape, turn, call, counts, check):
    wanted = shape.contents(turn)
    new = next(iter(wanted.values()))
    caller = server.caller()
    path = caller.begin(wanted, shape.root)
    strace = attach(server, f"{server.place}/calls", shape.calls[call - 1])
    was_acknowledged = commit(caller, path)
    if was_acknowledged:
        server.process.kill()
    server.process.wait()
    strace.wait()

    where = f"{shape.what}, kill at call {call} of {len(shape.calls)}"
    is_between = server.has_record()
    direct = shape.in_directory(server.directory)
    counts["half" if isinstance(direct, set) else "new" if direct == new else "old"] += 1
    if shape.root and isinstance(direct, set):
        check(False, f"{where}: who looks into the directory sees a mixture of {len(direct)} states")
    if direct not in (new, shape.last) and not (is_between and direct == {new, shape.last}):
        check(False, f"{where}: the directory has neither of both states, nor both of a decided commit")

    server.start()
    found = shape.in_directory(server.directory)
    counts["between" if is_between else "after" if found == new else "before"] += 1
    if found not in (new, shape.last):
        check(False, f"{where}: neither of both states after the start")
    if (is_between or was_acknowledged) and found != new:
        check(False, f"{where}: what was decided or acknowledged is lost")
    if server.has_record():
        check(False, f"{where}: a record is left")
    compare(server, shape, where, check)
    shape.last = found

    # What is left of the set does not bother the next ones.
    if found != new:
        server.caller().ask("DELETE", path)


def compare(server, shape, where, check):
    """The server tells what is in the directory, once it has read what it did not know any more."""
    caller, folders = server.caller(), {name.split("/")[0] for name in shape.names}
    end, told = time.monotonic() + 60, {}
    while time.monotonic() < end:
        for folder in folders:
            models = caller.get_json(f"/v1/models?prefix={folder}/")["models"]
            told.update({one["name"]: one.get("digest") for one in models})
        if None not in told.values():
            break
        time.sleep(0.02)
    is_there = {}
    for folder in folders:
        state = tree.state(f"{server.directory}/{folder}")
        is_there.update({f"{folder}/{name}": f"sha256:{digest}" for name, digest in state.items()})
    if told != is_there or set(told) != set(shape.names):
        check(False, f"{where}: the server tells other models than are in the directory")

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The flags of scripts/mutants, and what it prints."""

import argparse
import collections
import fcntl
import fnmatch
import json
import os
import signal
import sys
import threading
import time

from . import tree as trees
from .programs import Programs
from .trials import Trials

ROOMS = ["access", "client", "store", "http", "edge", "signature"]


def main(usage):
    flags = parse(usage)
    os.chdir(trees.TOP)
    for room in flags.room:
        if not os.path.exists(f"src/{room}"):
            sys.exit(f"mutants: there is no room src/{room}")

    # The six are always built in, so that one build serves for each of them.
    named = [f"src/{room}/**" for room in flags.room] + flags.file
    usual = [f"src/{room}/**" for room in ROOMS]
    target = os.path.realpath(os.environ.get("CARGO_TARGET_DIR", "target"))
    tree = trees.Tree(target, usual + [pattern for pattern in named if pattern not in usual])
    part, parts = flags.shard
    numbers = [number for number, change in enumerate(tree.changes) if number % parts == part
               and any(fnmatch.fnmatch(change["file"], pattern) for pattern in named or usual)]
    if flags.again:
        lines = [trees.read(tree.path(name)).splitlines() for name in ("results.before", "results")]
        ends = {result["name"]: result["end"] for result in map(json.loads, sum(lines, []))}
        numbers = [number for number in numbers
                   if ends.get(tree.changes[number]["name"]) in ("survived", "unreached")]
    if flags.list:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for number in numbers:
            print(tree.changes[number]["name"])
        return

    lock = open(tree.path("lock"), "w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"mutants: another run works in {tree.out}")

    tree.prepare()
    # What other people do on this machine comes first, and so it does where memory ends.
    os.nice(19)
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")

    programs = Programs(tree.programs, tree.copy)
    started = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: threading.Thread(target=programs.stop).start())
    if flags.minutes:
        timer = threading.Timer(flags.minutes * 60, programs.stop)
        timer.daemon = True
        timer.start()

    trials = Trials(tree, programs, flags.jobs)
    trials.record()
    trials.attempt([number for number in numbers if number in tree.woven], flags.seconds, not flags.unit)
    tell(tree, numbers, trials, time.monotonic() - started)


def parse(usage):
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False)
    parser.error = lambda text: sys.exit(print(f"mutants: {text}\n{usage}", file=sys.stderr) or 2)
    parser.add_argument("--room", action="append", default=[])
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--shard", type=shard, default=(0, 1))
    parser.add_argument("--minutes", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=30)
    for name in ("--unit", "--again", "--list", "--help"):
        parser.add_argument(name, action="store_true")
    flags = parser.parse_args()
    if flags.help:
        print(usage)
        sys.exit()
    return flags


def shard(text):
    part, parts = map(int, text.split("/"))
    if not 0 <= part < parts:
        raise ValueError(text)
    return part, parts


def tell(tree, numbers, trials, seconds):
    """Prints a line for each room, and writes the survivors down."""
    ends = collections.defaultdict(collections.Counter)
    survivors = []
    for number in numbers:
        change = tree.changes[number]
        room = change["file"].split("/")[1].removesuffix(".rs")
        result = trials.results.get(change["name"], {"end": "not tried"})
        end = result["end"] if number in tree.woven else "not built"
        ends[room][end] += 1
        if end in ("survived", "unreached"):
            survivors.append(f"{change['name']} ({end}, {result['tests']} of {result['of']} tests)\n")
    trees.write(tree.path("survivors.txt"), "".join(sorted(survivors)))

    columns = ["caught", "late", "survived", "unreached", "not built", "not tried"]
    print(f"{'room':<10}" + "".join(f"{column:>11}" for column in columns))
    for room, found in [*sorted(ends.items()), ("all", sum(ends.values(), collections.Counter()))]:
        print(f"{room:<10}" + "".join(f"{found[column]:>11}" for column in columns))
    print(f"mutants: {seconds / 60:.0f} minutes; survivors are in {tree.path('survivors.txt')}")

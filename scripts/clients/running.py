# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What all clients have: a server of their own, a place, and processes whose end is awaited."""

import filecmp
import os
import subprocess

TIME_LIMIT = 900
CANNOT = 3


class Failed(Exception):
    pass


class Skipped(Exception):
    """The client cannot do it."""


class Client:
    def begin(self, server, place, source):
        self.server, self.place, self.source = server, place, source
        os.makedirs(place)

    def run(self, *words, port=None, any_status=False):
        """What it prints. It finds nothing of what others have in the cache of this machine."""
        try:
            done = subprocess.run(words, cwd=self.place, env=self.server.environment(self.place, port), capture_output=True,
                                  text=True, check=False, timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"no end in {TIME_LIMIT} s: {(error.stderr or b'')[-500:]}") from error
        if any_status:
            return done.stdout + done.stderr
        if done.returncode == CANNOT:
            raise Skipped(done.stdout.strip())
        if done.returncode:
            raise Failed(f"{os.path.basename(words[0])} {' '.join(words[1:])}\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
        return done.stdout


def fetched(answered):
    return sum(one.bytes for one in answered)


def paths(folder):
    """The files below, without what clients and servers write for themselves."""
    found = set()
    for here, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".")]
        found |= {os.path.relpath(os.path.join(here, name), folder) for name in names if not name.startswith(".")}
    return found


def same_tree(one, other):
    if paths(one) != paths(other):
        raise Failed(f"other files: {sorted(paths(one) ^ paths(other))}")
    _, differing, unreadable = filecmp.cmpfiles(one, other, paths(one), shallow=False)
    if differing or unreadable:
        raise Failed(f"other bytes: {differing} {unreadable}")

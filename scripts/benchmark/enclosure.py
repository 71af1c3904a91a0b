# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Runs the bench in a network and a process namespace of its own, and ends all of it."""

import fcntl
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def run_inside(where):
    """Starts the bench again inside, waits for its end, and returns its exit code."""
    command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        command.insert(1, "--map-root-user")
    with tempfile.TemporaryDirectory(prefix="skep-bench-", dir=where) as folder:
        # A session of its own: Ctrl-C reaches this process alone, which ends the rest in order.
        start = [*command, sys.executable, *sys.argv, "--inside", folder]
        process = subprocess.Popen(start, stdin=subprocess.PIPE, start_new_session=True)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: process.stdin.close())
        process.wait()
    return process.returncode


def enter():
    """Prepares the inside: the end with the outside, the loopback interface, ports and descriptors."""
    threading.Thread(target=end_with_outside, daemon=True).start()
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as ports:
        ports.write("10000 65000")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def end_with_outside():
    """Ends this process, the first of its namespace and thereby the last, when the outside hangs up."""
    # Not sys.stdin, whose lock would have to be free at the end of the interpreter.
    os.read(0, 1)
    print("bench: interrupted", file=sys.stderr, flush=True)
    os._exit(130)

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The flags of scripts/hub-clients, and what it prints."""

import argparse
import array
import os
import shutil
import sys
import tempfile
import time
import traceback

from .other_clients import Crate, Node
from .python_clients import VERSIONS, Hub, Programs
from .running import Failed, Skipped
from .servers import Server

WAYS = ["plain", "tls"]


def clients():
    several = [Hub(version, xet) for version in VERSIONS for xet in (True, False)]
    return [*several, Programs(), Node(), Crate("crate-0.5", "crate_0_5", ["get", "info"])]


def fill(folder, mib):
    """What models are made of: noise, numbers that lie near each other, text; and what is odd."""
    os.makedirs(f"{folder}/sub dir")
    numbers = array.array("f", (number * 0.001 for number in range(1 << 18))).tobytes()
    with open(f"{folder}/noise.bin", "wb") as noise, open(f"{folder}/numbers.bin", "wb") as near:
        for number in range(mib):
            noise.write(os.urandom(1 << 20))
            near.write(number.to_bytes(8, "little") + numbers[8:])
    with open(f"{folder}/words.txt", "w", encoding="ascii") as words:
        words.writelines(f"line {number} of what compresses well\n" for number in range(mib * 3000))
    for name, content in [("README.md", "---\nlicense: mit\n---\n# big\n"), ("config.json", "{}"), ("empty", ""),
                          ("sub dir/a+b #1%.txt", "odd")]:
        with open(f"{folder}/{name}", "w", encoding="ascii") as file:
            file.write(content)


class Table:
    def __init__(self):
        self.cells, self.columns = {}, []

    def add(self, column, row, result, note, seconds):
        if column not in self.columns:
            self.columns.append(column)
        self.cells[row, column] = result
        print(f"{column:<18}{row:<22}{result:<7}{seconds:>6.1f} s   {note}", flush=True)

    def show(self):
        rows = list(dict.fromkeys(row for row, _ in self.cells))
        print("\n" + " " * 22 + "  ".join(self.columns))
        for row in rows:
            cells = (f"{self.cells.get((row, column), ''):<{len(column)}}" for column in self.columns)
            print(f"{row:<22}{'  '.join(cells)}".rstrip())
        failed = sum(result == "FAILED" for result in self.cells.values())
        print(f"\n{len(self.cells)} rows, {failed} failed; \"-\": the client cannot do it")
        return failed


def one_row(client, row):
    """The result and a note."""
    try:
        note = client.rows[row]() or ""
        return "ok", " ".join(note.split())[:150]
    except Skipped as error:
        return "-", str(error)
    except Failed as error:
        return "FAILED", str(error)
    except Exception:
        return "FAILED", traceback.format_exc()


def one_client(client, way, rows, options, place, source, table):
    server = Server(options.binary, f"{place}/server", way)
    try:
        client.begin(server, f"{place}/client", source)
        for row in client.rows:
            if rows and row not in rows:
                continue
            server.answered()
            start = time.monotonic()
            result, note = one_row(client, row)
            table.add(f"{client.name} {way}", row, result, note, time.monotonic() - start)
            if options.log and result == "FAILED":
                print("".join(f"    {one}\n" for one in server.answered()[-options.log:]), end="")
    finally:
        server.end()
        shutil.rmtree(place)


def main(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    parser.add_argument("--binary", default=f"{target}/release/skep")
    parser.add_argument("--clients", default="", help="only these, with commas between them")
    parser.add_argument("--rows", default="", help="only these")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--mib", type=int, default=300)
    parser.add_argument("--log", type=int, default=0, metavar="N", help="print so many answers of the server after a failure")
    parser.add_argument("--list", action="store_true", help="name clients and rows, and do nothing")
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    chosen, rows = [set(filter(None, one.split(","))) for one in (options.clients, options.rows)]
    known = clients()
    unknown = (chosen - {one.name for one in known}) | (rows - {row for one in known for row in one.rows}) \
        | (set(options.ways.split(",")) - set(WAYS))
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; try --list")
    if options.list:
        for client in known:
            print(f"{client.name:<12} {' '.join(client.rows)}")
        return

    interop = os.path.abspath(f"{target}/interop/hub-clients")
    os.makedirs(interop, exist_ok=True)
    table = Table()
    with tempfile.TemporaryDirectory() as place:
        source = f"{place}/source"
        fill(source, options.mib)
        for client in known:
            if chosen and client.name not in chosen:
                continue
            try:
                client.install(interop)
            except (OSError, RuntimeError) as error:
                table.add(client.name, "install", "FAILED", str(error), 0)
                continue
            for way in options.ways.split(","):
                one_client(client, way, rows, options, f"{place}/run", source, table)
    sys.exit(1 if table.show() else 0)

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The command line of scripts/bench, and the order of its steps."""

import argparse
import json
import os
import shutil
import subprocess
import sys

from benchmark import clients, enclosure, figures, rows, servers

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIGURES = os.path.join(TREE, "scripts", "benchmark", "figures.json")
PACKAGES = ["nginx-light", "lighttpd", "lighttpd-mod-webdav", "lighttpd-mod-openssl", "wrk", "curl", "openssl"]
# Without these nothing is measured; lighttpd and dufs take part where they are installed.
NEEDED = ["nginx", "wrk", "curl", "openssl", "unshare"]
# Processors in use by others; above, a CPU that is kept awake by them makes small requests cheaper.
BUSY = 0.2
PEERS = ["nginx", "lighttpd", "dufs"]


def main(description):
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    options = parse(description)
    if options.inside:
        enclosure.enter()
        run(options)
        return
    if options.install:
        install()
    check(options)
    sys.exit(enclosure.run_inside(options.dir or roomy_folder(options.size)))


def parse(description):
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(usage="scripts/bench [OPTIONS]", description=description, formatter_class=formatter)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(TREE, "target"))
    parser.add_argument("--binary", default=os.path.join(target, "release", "skep"), help="the skep to measure")
    parser.add_argument("--rows", type=names(rows.NAMES), default=list(rows.NAMES), metavar="NAME,...")
    parser.add_argument("--rounds", type=bounded(1, 20), default=3, metavar="N")
    parser.add_argument("--peers", type=names(PEERS), default=PEERS, metavar="NAME,...", help="beside nginx")
    parser.add_argument("--modes", type=names(["plain", "TLS"]), default=["plain", "TLS"], metavar="plain,TLS")
    parser.add_argument("--seconds", type=bounded(1, 60), default=2, metavar="N", help="length of one load")
    parser.add_argument("--size", type=bounded(1, 4096), default=1024, metavar="MIB", help="size of a transfer")
    parser.add_argument("--dir", help="where files lie, instead of /dev/shm")
    parser.add_argument("--logs", action="store_true", help="all servers log every request")
    parser.add_argument("--pin", action="store_true", help="servers on one half of the processors, clients on the other")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--save", action="store_true", help="write the figures to figures.json")
    parser.add_argument("--gate", action="store_true", help="fail for a loss against figures.json")
    parser.add_argument("--install", action="store_true", help="install missing Debian packages first")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    options.peers = [peer for peer in PEERS if (peer in options.peers or peer == "nginx") and shutil.which(peer)]
    return options


def bounded(least, most):
    def number(text):
        if not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
        return int(text)

    return number


def names(known):
    def several(text):
        given = [name for name in text.split(",") if name]
        for name in given:
            if name not in known:
                raise argparse.ArgumentTypeError(f"'{name}' is not one of {', '.join(known)}")
        return given

    return several


def install():
    if all(shutil.which(program) for program in [*NEEDED, "lighttpd"]):
        return
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    subprocess.run([*as_root, "apt-get", *wait, "update", "-q"], check=True, stdout=sys.stderr)
    # RUNLEVEL: the system does not start what is installed here.
    environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    command = [*as_root, *environment, "apt-get", *wait, "install", "-y", "-q", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, check=True, stdout=sys.stderr)


def check(options):
    missing = [program for program in NEEDED if not shutil.which(program)]
    if missing:
        sys.exit(f"bench: missing: {', '.join(missing)}; 'scripts/bench --install' gets them on Debian")
    if not os.access(options.binary, os.X_OK):
        sys.exit(f"bench: there is no {options.binary}; run 'cargo build --release' or name another with --binary")
    if options.gate and not os.path.exists(FIGURES):
        sys.exit(f"bench: --gate needs {FIGURES}, which 'scripts/bench --save' writes")
    if options.save and (set(options.rows) != set(rows.NAMES) or len(options.modes) < 2):
        sys.exit("bench: --save wants all rows and both modes, so that the file is of one run")
    for peer in PEERS:
        if peer not in options.peers:
            print(f"bench: without {peer}", file=sys.stderr)


def roomy_folder(size):
    """Memory, so that no disk is measured, where there is room for the source and a few uploads."""
    shared = "/dev/shm"
    return shared if os.path.isdir(shared) and shutil.disk_usage(shared).free > 5 * size << 20 else None


def run(options):
    """Measures within the enclosure, prints, saves and compares."""
    saved = None
    if options.gate:
        with open(FIGURES, encoding="ascii") as file:
            saved = json.load(file)
    site = servers.Site(options.inside, options)
    usage = clients.Usage()
    table = figures.Figures()
    for name in rows.in_order(options.rows):
        print(f"bench: {name}", file=sys.stderr, flush=True)
        rows.measure(name, site, table)
    measured = table.summary()
    about = {"rounds": options.rounds, "processors": os.cpu_count(), "others": usage.others()}
    about |= {"skep": servers.version(options.binary), "logs": options.logs, "pinned": options.pin}
    if options.json:
        print(json.dumps({"about": about, "figures": measured}, indent=1))
    else:
        figures.show(about, measured, ["skep", *options.peers])
    if (options.gate or options.save) and about["others"] > BUSY:
        print(f"bench: others used {about['others']} processors: do not trust these figures", file=sys.stderr)
    losses = []
    if saved:
        if saved["about"]["others"] > BUSY:
            print("bench: the saved figures are from a busy machine; save new ones from a quiet one", file=sys.stderr)
        losses = figures.losses(saved["figures"], measured, options.rows, options.modes)
        for loss in losses:
            print(f"bench: worse: {loss}", file=sys.stderr)
        verdict = f"{len(losses)} losses beyond noise" if losses else "no loss beyond noise"
        print(f"bench: {verdict}, against figures of {saved['about']['skep']}", file=sys.stderr)
    if options.save:
        figures.save(FIGURES, about, measured)
    sys.exit(1 if losses else 0)

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The clients, fetched by the names of their packages; what is there is left as it is."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def run(*words, folder=None):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def is_ready(folder):
    return os.path.exists(f"{folder}/ready")


def mark(folder):
    """Whoever is interrupted begins anew the next time."""
    with open(f"{folder}/ready", "w", encoding="ascii"):
        pass


def python(interop, name, packages, unwanted=()):
    """The folder of the programs of a virtual environment."""
    folder = f"{interop}/{name}"
    if not is_ready(folder):
        shutil.rmtree(folder, ignore_errors=True)
        run(sys.executable, "-m", "venv", folder)
        pip = [f"{folder}/bin/python", "-m", "pip"]
        run(*pip, "install", "-q", "--disable-pip-version-check", *packages)
        if unwanted:
            run(*pip, "uninstall", "-q", "-y", *unwanted)
        mark(folder)
    return f"{folder}/bin"


def node(interop):
    """The script of the rows, beside the packages that it imports."""
    folder = f"{interop}/node"
    if not is_ready(folder):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, "@huggingface/hub")
        mark(folder)
    shutil.copyfile(f"{HERE}/node_rows.mjs", f"{folder}/rows.mjs")
    return f"{folder}/rows.mjs"


def crate(interop, name):
    """The program of the rows; cargo knows what is to be built again."""
    source, folder = f"{HERE}/{name}", f"{interop}/{name}"
    os.makedirs(folder, exist_ok=True)
    for file in os.listdir(source):
        shutil.copy2(f"{source}/{file}", f"{folder}/{file}")
    run("cargo", "build", "-q", "--release", "--manifest-path", f"{folder}/Cargo.toml", "--target-dir", f"{folder}/target")
    return f"{folder}/target/release/rows"

# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The figures: medians and ratios of the rounds, the table, and the comparison with saved ones."""

import json
import statistics
from dataclasses import dataclass

LOSS = 1.25


@dataclass(frozen=True)
class Metric:
    """A kind of figure: its unit, whom skep is compared with, and which difference is never a loss."""

    unit: str
    base: str | None = "nginx"
    slack: float = 0.0
    is_more_better: bool = False


class Figures:
    """All values by key, which is (row, case, mode, unit), and server, in the order of the rounds."""

    def __init__(self):
        self.values, self.metrics = {}, {}

    def add(self, key, metric, server, value):
        self.metrics[key] = metric
        self.values.setdefault(key, {}).setdefault(server, []).append(value)

    def summary(self):
        """One entry per key: [median, lowest, highest] of each server and of the ratio to the base."""
        entries = []
        for key, of_servers in self.values.items():
            metric = self.metrics[key]
            entry = dict(zip(("row", "case", "mode", "unit"), key))
            entry |= {"base": metric.base, "slack": metric.slack, "is_more_better": metric.is_more_better}
            entry["servers"] = {server: spread(values) for server, values in of_servers.items()}
            pairs = list(zip(of_servers["skep"], of_servers.get(metric.base, [])))
            # A base that takes nothing measurable has no ratio.
            if pairs and all(other > 0 for _, other in pairs):
                entry["ratio"] = spread([own / other for own, other in pairs])
            entries.append(entry)
        return entries


def spread(values):
    return [significant(value) for value in (statistics.median(values), min(values), max(values))]


def significant(value):
    return float(f"{value:.4g}")


def show(about, entries, servers):
    """Prints the table, one line for each case, mode and unit."""
    print(f"{about['skep']}, {about['rounds']} rounds, {about['processors']} processors, others {about['others']} of them;")
    print(f"{'every request' if about['logs'] else 'no request'} is logged. Median (lowest to highest); ratio skep / nginx,")
    print("or skep / sha256 where there is no nginx.\n")
    columns = [*servers, "sha256"]
    lines = [["", "", "unit", *columns, "ratio"]]
    for entry in entries:
        of_servers = entry["servers"]
        fields = [readable(of_servers[name]) if name in of_servers else "-" for name in columns]
        ratio = readable(entry["ratio"]) if "ratio" in entry else "-"
        lines.append([entry["case"], entry["mode"], entry["unit"], *fields, ratio])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("| " + " | ".join(field.ljust(width) for field, width in zip(line, widths)) + " |")


def readable(values):
    middle, low, high = (short(value) for value in values)
    return middle if low == high else f"{middle} ({low} to {high})"


def short(value):
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def save(path, about, entries):
    """Writes the file of figures, one line each, so that a change of it can be read."""
    with open(path, "w", encoding="ascii") as file:
        file.write('{"about": ' + json.dumps(about) + ',\n"figures": [\n')
        file.write(",\n".join(json.dumps(entry) for entry in entries))
        file.write("\n]}\n")


def losses(saved, measured, rows, modes):
    """What is worse than saved beyond noise, as text; what was not measured again is a loss, too."""
    found = {identity(entry): entry for entry in measured}
    texts = []
    for before in saved:
        if before["row"] not in rows or before["mode"] not in modes:
            continue
        name = ", ".join(identity(before))
        now = found.get(identity(before))
        if now is None:
            texts.append(f"{name}: not measured")
        elif is_loss(before, now):
            kind = "ratio" if has_ratios(before, now) else "value"
            texts.append(f"{name}: {kind} {readable(compared(now, before))}, saved {readable(compared(before, now))}")
    return texts


def identity(entry):
    return tuple(entry[part] for part in ("row", "case", "mode", "unit"))


def has_ratios(one, other):
    return "ratio" in one and "ratio" in other


def compared(entry, other):
    """The ratio where both have one, else the value of skep."""
    return entry["ratio"] if has_ratios(entry, other) else entry["servers"]["skep"]


def is_loss(before, now):
    old, new = compared(before, now), compared(now, before)
    # The base of this very run turns a difference of ratios into one of values.
    unit = now["servers"][now["base"]][0] if has_ratios(before, now) else 1.0
    if before["is_more_better"]:
        return new[0] * LOSS < old[0] and new[2] < old[1]
    beyond = (new[0] - old[0]) * unit > before["slack"]
    return beyond and new[0] > old[0] * LOSS and new[1] > old[2]

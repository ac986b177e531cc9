#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""promtext.py [FILE]: checks Prometheus text (exposition format 0.0.4) as strictly as the format says.

Prints what is wrong and ends with status 1; with nothing wrong prints how many metrics and samples
there are. Beyond the format it checks the conventions: counters end in _total, times are seconds,
each metric has HELP and TYPE before its samples and all its samples together, no series twice,
histograms are cumulative, end with +Inf and agree with their _count.
"""

import math
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"^({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)\}})? (\S+)$")
VALUE = re.compile(r"^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]Inf|NaN)$")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")


class Bad(Exception):
    pass


def base(name, types):
    """The metric that a sample belongs to."""
    for end in ("_bucket", "_sum", "_count"):
        if name.endswith(end) and types.get(name[:-len(end)]) == "histogram":
            return name[:-len(end)]
    return name


def histogram(name, samples):
    """samples: (suffix, labels without le as a tuple, le, value) of one metric."""
    series = {}
    for suffix, labels, le, value in samples:
        series.setdefault(labels, {"bucket": [], "sum": None, "count": None})
        if suffix == "bucket":
            series[labels]["bucket"].append((le, value))
        else:
            series[labels][suffix] = value
    for labels, s in series.items():
        bounds = [float(le.replace("+Inf", "inf")) for le, _ in s["bucket"]]
        counts = [v for _, v in s["bucket"]]
        if s["sum"] is None or s["count"] is None:
            raise Bad(f"{name}{labels}: no _sum or no _count")
        if not bounds or bounds != sorted(set(bounds)) or bounds[-1] != math.inf:
            raise Bad(f"{name}{labels}: bounds do not rise to +Inf: {bounds}")
        if counts != sorted(counts):
            raise Bad(f"{name}{labels}: buckets are not cumulative")
        if counts[-1] != s["count"]:
            raise Bad(f"{name}{labels}: +Inf is {counts[-1]}, _count {s['count']}")


def check(text):
    if not text.endswith("\n"):
        raise Bad("the last line has no newline")
    types, helps, seen, hist, values = {}, {}, set(), {}, 0
    current, closed = None, set()
    for n, line in enumerate(text[:-1].split("\n"), 1):
        where = f"line {n}: {line[:120]!r}"
        if not line:
            continue
        if line.startswith("#"):
            m = re.match(rf"^# (HELP|TYPE) ({NAME}) (.+)$", line)
            if not m:
                raise Bad(f"{where}: neither HELP nor TYPE")
            kind, name, rest = m.groups()
            if name != current:
                if name in closed or name in types or name in helps:
                    raise Bad(f"{where}: {name} came before")
                if current:
                    closed.add(current)
                current = name
            table = helps if kind == "HELP" else types
            if name in table:
                raise Bad(f"{where}: a second {kind}")
            table[name] = rest
            if kind == "TYPE" and rest not in TYPES:
                raise Bad(f"{where}: unknown type")
            if kind == "TYPE" and (rest == "counter") != name.endswith("_total"):
                raise Bad(f"{where}: counters, and only they, end in _total")
            if re.search(r"_(us|ms|ns|milliseconds|microseconds|kib|mib)(_|$)", name):
                raise Bad(f"{where}: units are seconds and bytes")
            continue
        m = SAMPLE.match(line)
        if not m:
            raise Bad(f"{where}: not a sample")
        name, labels, value = m.groups()
        metric = base(name, types)
        if metric != current:
            raise Bad(f"{where}: {metric} has no TYPE before it, or its samples are not together")
        if metric not in types or metric not in helps:
            raise Bad(f"{where}: HELP or TYPE is missing")
        if not VALUE.match(value):
            raise Bad(f"{where}: not a number")
        pairs = re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"', labels or "")
        if len(dict(pairs)) != len(pairs):
            raise Bad(f"{where}: a label twice")
        key = (name, tuple(sorted(pairs)))
        if key in seen:
            raise Bad(f"{where}: the series is there twice")
        seen.add(key)
        values += 1
        if types[metric] in ("counter", "histogram") and not float(value) >= 0:
            raise Bad(f"{where}: negative")
        if types[metric] == "histogram":
            rest = tuple(p for p in sorted(pairs) if p[0] != "le")
            suffix = name[len(metric) + 1:]
            le = dict(pairs).get("le")
            if (suffix == "bucket") != (le is not None):
                raise Bad(f"{where}: le belongs to buckets")
            hist.setdefault(metric, []).append((suffix, rest, le, float(value)))
    for name, samples in hist.items():
        histogram(name, samples)
    return len(types), values


def main():
    text = open(sys.argv[1], encoding="utf-8").read() if len(sys.argv) > 1 else sys.stdin.read()
    try:
        print("{} metrics, {} samples".format(*check(text)))
    except Bad as e:
        print(e)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

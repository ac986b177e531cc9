#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the simulator find bugs? Plants each of a list of bugs in a copy of the Raft core, one at a
time, and runs the simulator until it complains (or, for a few, a unit test). A bug that it does not find is a failure, and so is one
whose place in the source is not there any more. Speaks TAP.

    tests/sim/mutants.py [--runs N] [NAME...]
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CORE = ["raft", "raft_log", "raft_conf", "raft_repl", "raft_read"]
WORLD = ["world", "world_check", "world_people", "raft_sim"]
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-w", "-I" + ROOT, "-I" + ROOT + "/userd/raft"]

# Found by a unit test, not by the simulator: they need several rare things within one round trip.
BY_UNIT_TEST = {
    "vote-breaks-the-promise-after-a-pre-vote": "raft_bugs_test",
    "promise-ends-with-its-term": "raft_bugs_test",
    "vote-of-the-new-term-breaks-the-promise": "raft_bugs_test",
    "wish-to-hand-over-is-good-for-ever": "raft_bugs_test",
    "read-joins-a-round-under-way": "raft_core_test",
}

# name, file, what stands there, what the bug makes of it
MUTANTS = [
    ("entries-of-old-terms-are-counted", "raft_repl",
     "match > r->commit && raft_log_term(&r->log, match) == r->term", "match > r->commit"),
    ("term-and-vote-are-not-waited-for", "raft",
     "\traft_need(r, m, r->hard_seq);\n", ""),
    ("acknowledged-before-it-is-durable", "raft",
     "if (index > r->log.durable)\n", "if (0)\n"),
    ("leader-counts-itself-before-its-disk", "raft_repl",
     "v[n++] = r->log.durable;", "v[n++] = r->log.last;"),
    ("votes-twice-in-a-term", "raft",
     "(r->vote == m->from || (!r->vote && !r->leader && !held)) && up_to_date", "up_to_date"),
    ("votes-for-a-log-that-is-behind", "raft",
     "return m->log_term > term ||", "return 1 ||"),
    ("votes-by-length-of-log-alone", "raft",
     "return m->log_term > term || (m->log_term == term && m->index >= r->log.last);",
     "return m->index >= r->log.last;"),
    ("no-promise-to-a-leader", "raft",
     "return r->now < r->hold_until || r->role == RAFT_LEADER ||\n\t       (r->contact", "return 0 && (r->contact"),
    ("promise-forgotten-by-a-restart", "raft",
     "r->hold_until = r->now + raft_span(r, RAFT_ELECTION);", "r->hold_until = 0;"),
    ("vote-breaks-the-promise-after-a-pre-vote", "raft",
     "if (sticky(r) && !forced(r, m))", "if (0)"),
    ("promise-ends-with-its-term", "raft",
     "r->vote = RAFT_NONE;\n\t\thard_changed(r);",
     "r->vote = RAFT_NONE;\n\t\tr->contact = 0;\n\t\thard_changed(r);"),
    ("vote-of-the-new-term-breaks-the-promise", "raft",
     "!r->leader && !held)", "!r->leader)"),
    ("lease-trusted-too-long", "raft_read",
     "from + span -", "from + 2 * span -"),
    ("lease-ignores-clock-drift", "raft_read",
     "from + span - span / 1000000 * 2 * r->cfg.drift_ppm -\n\t\t\t\t"
     " span % 1000000 * 2 * r->cfg.drift_ppm / 1000000 - 1;", "from + span;"),
    ("lease-counted-from-the-answer", "raft_read",
     "p->lease_from = r->round_sent[round % RAFT_ROUNDS];", "p->lease_from = r->now;"),
    ("lease-kept-while-leadership-is-handed-over", "raft_read",
     "r->lease_floor = r->round;\n\tr->lease_until = 0;", "return;"),
    ("wish-to-hand-over-is-good-for-ever", "raft",
     "(m->term != term + 1 || m->round >= round)", "1"),
    ("lease-before-the-first-commit", "raft_read",
     "return now < r->lease_until && raft_ready(r);", "return now < r->lease_until;"),
    ("read-without-asking-anyone", "raft_read",
     "if (lease_valid(r, r->now)) {", "if (raft_ready(r)) {"),
    ("read-joins-a-round-under-way", "raft_read",
     "return r->round + 1;", "return r->round;"),
    ("appends-without-comparing", "raft",
     "(m->index > r->commit && raft_log_term(&r->log, m->index) != m->log_term)", "0"),
    ("old-append-truncates", "raft",
     "\tif (i < last && i < r->log.last) {\n", "\tif (i < r->log.last) {\n"),
    ("commits-more-than-was-compared", "raft",
     "raft_committed(r, m->commit < last ? m->commit : last);",
     "raft_committed(r, m->commit < r->log.last ? m->commit : r->log.last);"),
    ("heartbeat-commits-more-than-matches", "raft_read",
     "m->commit = p->match < r->commit ? p->match : r->commit;", "m->commit = r->commit;"),
    ("answers-for-an-old-term", "raft",
     "\tif (m->term < r->term) {\n\t\tolder_term(r, m);\n\t\treturn 0;\n\t}\n\tswitch",
     "\tif (m->term < r->term && m->type != RAFT_MSG_APPEND_REP) {\n\t\tolder_term(r, m);\n\t\treturn 0;\n\t}\n\tswitch"),
    ("truncated-entries-stay-durable", "raft_log",
     "if (l->durable > l->last)\n\t\tl->durable = l->last;", ""),
    ("truncated-entries-come-back", "raft_log",
     "\tl->last = from - 1;\n\tif", "\tif"),
    ("configuration-stays-when-truncated", "raft_log",
     "while (l->nr_confs > 1 && l->confs[l->nr_confs - 1].index >= from)\n\t\tl->nr_confs--;", ""),
    ("configuration-lost-when-trimmed", "raft_log",
     "memmove(l->confs, l->confs + at, l->nr_confs * sizeof(*l->confs));", ""),
    ("configuration-in-force-when-committed", "raft",
     "return &r->log.confs[r->log.nr_confs - 1].conf;", "return &raft_log_conf(&r->log, r->commit)->conf;"),
    ("two-changes-of-members-at-once", "raft_conf",
     " || raft_conf_pending(r) ||", " ||"),
    ("change-of-members-before-a-commit", "raft_conf",
     "if (!raft_ready(r) || raft_conf_pending(r)", "if (0"),
    ("learners-count-for-majorities", "raft_repl",
     "n += c->m[i].voter;\n\treturn n / 2 + 1;", "n++;\n\treturn n / 2;"),
    ("removed-leader-stays", "raft_repl",
     "\t\t\tif (!raft_self_voter(r)) {\n", "\t\t\tif (0) {\n"),
    ("who-is-removed-never-stands", "raft",
     "if (!raft_conf_pending(r) || l->nr_confs < 2)\n", "if (1)\n"),
    ("snapshot-keeps-another-log", "raft",
     "r->u->install_keep = had == ev->term;", "r->u->install_keep = ev->index < r->log.last;"),
    ("snapshot-is-not-waited-for", "raft_log",
     "return index <= l->base ? l->base_seq :", "return index <= l->base ? 0 :"),
    ("goes-on-after-the-disk-failed", "raft",
     "\t\tr->failed = true;\n\t\tr->role", "\t\tr->role"),
    ("lost-probe-is-not-repeated", "raft_repl",
     "\tp->alive = true;\n\tp->paused = false;\n", "\tp->alive = true;\n"),
    ("lost-tail-is-not-noticed", "raft_repl",
     "\t    p->next > r->log.base)\n\t\tsend_append(r, p, 0);", "\t    p->next > r->log.base)\n\t\t;"),
    ("trimmed-log-is-probed", "raft_repl",
     " &&\n\t    p->next > r->log.base)", ")"),
]


def cc(args):
    subprocess.run([os.environ.get("CC", "gcc"), *FLAGS, *args], check=True)


def build_common(tmp):
    """Objects that no bug changes. Returns {name: path}."""
    objs = {}
    for name in WORLD + CORE:
        src = f"{ROOT}/tests/sim/{name}.c" if name in WORLD else f"{ROOT}/userd/raft/{name}.c"
        objs[name] = f"{tmp}/{name}.o"
        cc(["-c", src, "-o", objs[name]])
    return objs


def try_one(tmp, objs, name, file, old, new, runs):
    """Returns (found, what was seen)."""
    with open(f"{ROOT}/userd/raft/{file}.c") as f:
        text = f.read()
    if text.count(old) != 1:
        return False, f"its place occurs {text.count(old)} times in {file}.c"
    src, obj, prog = f"{tmp}/mutant.c", f"{tmp}/mutant.o", f"{tmp}/{name}"
    with open(src, "w") as f:
        f.write(text.replace(old, new))
    cc(["-c", src, "-o", obj])
    if name in BY_UNIT_TEST:
        test = BY_UNIT_TEST[name]
        cc([f"{ROOT}/tests/unit/{test}.c", *(objs[o] for o in CORE if o != file), obj, "-lcmocka",
            "-o", prog])
        p = subprocess.run([prog], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return p.returncode != 0, f"{test} ends with status {p.returncode}"
    cc([*(objs[o] for o in objs if o != file), obj, "-o", prog])
    p = subprocess.run([prog, "--runs", str(runs)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True)
    os.unlink(prog)
    m = re.search(r"^seed (\d+): (.*)", p.stdout, re.M)
    if p.returncode < 0:
        return True, f"killed by signal {-p.returncode}"
    return bool(m), m.group(0) if m else f"not found in {runs} runs"


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=40000)
    p.add_argument("names", nargs="*", metavar="NAME")
    opt = p.parse_args()
    chosen = [m for m in MUTANTS if not opt.names or m[0] in opt.names]
    bad = 0
    print(f"1..{len(chosen)}")
    with tempfile.TemporaryDirectory(prefix="raft-mutants-") as tmp:
        objs = build_common(tmp)
        for i, m in enumerate(chosen, 1):
            found, what = try_one(tmp, objs, *m, opt.runs)
            bad += not found
            print(f"{'ok' if found else 'not ok'} {i} - {m[0]}\n# {what}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

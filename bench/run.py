#!/usr/bin/env python3
"""Runs weft's benchmarks side by side with Tokio, Go and a bare epoll loop.

For each benchmark the programs take turns, round after round, so that all of them meet the machine
in the same moods. A ratio (peer divided by weft, above 1 means that weft is faster) is taken within
a round; the one shown comes from the median round. Build first: script/bench does both.
"""

import argparse
import fnmatch
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent
BUILD = BENCH.parent / "build"
PROGRAMS = {
    "weft": BUILD / "release/bench/weft-bench",
    "tokio": BUILD / "bench/tokio/release/weft-bench-tokio",
    "go": BUILD / "bench/weft-bench-go",
    "floor": BUILD / "release/bench/weft-floor",
}

# The least peer/weft that weft wants to reach; set against Tokio 1.53.1, "never slower" being 1.
RATIO_TARGETS = {
    "spawn_many_local": {"tokio": 5, "go": 1},
    "spawn_many_remote": {"tokio": 4},
    "spawn_join": {"tokio": 4},
    "chained_spawn": {"tokio": 4},
    "yield_many": {"tokio": 2.5},
    "sleep_many": {"tokio": 1},
    "sleep_many_stackless": {"tokio": 5},
    "tcp_ping_pong_c1_w1": {"tokio": 1},
    "tcp_ping_pong_c2_w1": {"tokio": 1},
    "tcp_ping_pong_c10_w1": {"tokio": 1},
    "tcp_ping_pong_c100_w1": {"tokio": 1.05, "floor": 0.95},
    "tcp_ping_pong_c1_w2": {"tokio": 1},
    "tcp_ping_pong_c2_w2": {"tokio": 1},
    "tcp_ping_pong_c10_w2": {"tokio": 1},
    "tcp_ping_pong_c100_w2": {"tokio": 1.15},
}
# The most that weft may take: ns, or bytes with page tables and all.
LIMITS = {"spawn_join": 80, "memory_sleeping": 4608, "memory_sleeping_stackless": 200}


@dataclass
class Round:
    """What one run of one program printed."""

    first: list = field(default_factory=list)  # wall ns per operation; bytes in memory rows
    cpu: list = field(default_factory=list)
    notes: dict = field(default_factory=dict)


def complain(text):
    print(f"bench: {text}", file=sys.stderr)


def is_memory(name):
    return name.startswith("memory_")


def by_cpu(name):
    """In these the wall time is mostly sleep, so the CPU time is the figure."""
    return name.startswith("sleep_")


def figure(name, one_round):
    return statistics.median(one_round.cpu if by_cpu(name) else one_round.first)


def parse(text):
    result = Round()
    for line in text.splitlines():
        if line.startswith("#"):
            result.notes.update(pair.split("=", 1) for pair in line[1:].split())
        else:
            try:
                first, cpu = map(float, line.split())
            except ValueError:
                raise ValueError(f"printed {line!r}, which is no sample") from None
            result.first.append(first)
            result.cpu.append(cpu)
    if not result.first:
        raise ValueError("printed no sample")
    return result


def run(program, name, options, timeout):
    """One run of one program; raises ValueError when it does not give its samples."""
    command = [program, name, "--workers", options.workers, "--samples", options.samples]
    command += ["--quick"] if options.quick else []
    try:
        child = subprocess.run(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"still ran after {timeout:.0f} s") from None
    if child.returncode:
        raise ValueError(f"ended with status {child.returncode}")
    return parse(child.stdout)


def compare(name, weft, peer):
    """(ratio, weft's figure, peer's figure) of each round that both completed, sorted."""
    rounds = [(figure(name, w), figure(name, p)) for w, p in zip(weft, peer)]
    return sorted((p / w if w > 0 else float("inf"), w, p) for w, p in rounds)


def print_tsv(name, rounds):
    for peer in rounds:
        if peer != "weft" and (ratios := compare(name, rounds.get("weft", []), rounds[peer])):
            ratio, weft, other = statistics.median_low(ratios)
            print(f"{name}\t{weft:.2f}\t{peer}\t{other:.2f}\t{ratio:.3f}", flush=True)


def verdict(met):
    return "met" if met else "MISSED"


def weft_target(name, weft):
    """What weft alone has to reach in this row, and whether it does."""
    if name not in LIMITS:
        return ""
    value, unit = figure(name, weft[-1]), "ns"
    text = ""
    if is_memory(name):
        tables = float(weft[-1].notes.get("page_tables", 0))
        value, unit, text = value + tables, "B", f"{value + tables:.0f} with page tables, "
    else:
        value = statistics.median(figure(name, r) for r in weft)
    return f"{text}at most {LIMITS[name]} {unit}: {verdict(value <= LIMITS[name])}"


def print_table_head():
    print(
        f"{'benchmark':32}{'peer':6}{'wall':>10}{'min':>10}{'cpu':>10}"
        f"{'ratio':>8}  {'lowest-highest':16}target"
    )


def print_table_rows(name, rounds):
    unit = " [B]" if is_memory(name) else " [cpu]" if by_cpu(name) else ""
    label = name + unit
    for peer, done in rounds.items():
        first = [sample for one in done for sample in one.first]
        cpu = [sample for one in done for sample in one.cpu]
        line = (
            f"{label:32}{peer:6}{statistics.median(first):>10.1f}{min(first):>10.1f}"
            f"{statistics.median(cpu):>10.1f}"
        )
        label = ""
        if peer == "weft":
            line += f"{'':26}{weft_target(name, done)}"
        elif ratios := compare(name, rounds.get("weft", []), done):
            ratio = statistics.median_low(ratios)[0]
            spread = f"{ratios[0][0]:.2f}-{ratios[-1][0]:.2f}"
            line += f"{ratio:>8.2f}  {spread:16}"
            if (least := RATIO_TARGETS.get(name, {}).get(peer)) is not None:
                line += f"{least:g}x: {verdict(ratio >= least)}"
        print(line.rstrip())
    print(flush=True)


def print_foot(programs, load):
    versions = [f"{os.cpu_count()} CPUs, load {load:.1f} before"]
    lock = BENCH / "peers/tokio/Cargo.lock"
    if "tokio" in programs and lock.exists():
        found = re.search(r'name = "tokio"\nversion = "(.*)"', lock.read_text())
        versions += [f"Tokio {found[1]}"] if found else []
    if "go" in programs and (go := shutil.which("go")):
        versions += subprocess.check_output([go, "version"], text=True).split()[2:3]
    print("; ".join(versions))
    print("wall, min: ns per operation, median and minimum; cpu: median; ratio: peer / weft.")
    print("Marked rows compare CPU ns [cpu], bytes per task [B]. Targets were set by Tokio 1.53.1.")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--tsv", action="store_true", help="name, weft, peer's name, peer, ratio")
    parser.add_argument("--only", action="append", metavar="NAME", help="name or glob; repeatable")
    parser.add_argument("--quick", action="store_true", help="a rough answer within a minute")
    parser.add_argument("--workers", type=int, default=2, metavar="W")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5; with --quick 3")
    parser.add_argument("--samples", type=int, metavar="N", help="a round; default 4; quick: 2")
    parser.add_argument("--counters", action="store_true", help="weft's counters, on stderr")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.samples = options.samples or (2 if options.quick else 4)
    return options


def available():
    """The programs that are there, and the names that each knows."""
    names = {}
    for peer, program in PROGRAMS.items():
        if program.exists():
            names[peer] = subprocess.check_output([program, "--list"], text=True).split()
        else:
            complain(f"skips {peer}: no {program}")
    return names


def main():
    options = arguments()
    known = available()
    names = list(dict.fromkeys(name for listed in known.values() for name in listed))
    if options.only:
        for pattern in options.only:
            if not fnmatch.filter(names, pattern):
                sys.exit(f"bench: no benchmark is called {pattern}")
        names = [n for n in names if any(fnmatch.fnmatchcase(n, p) for p in options.only)]

    deadline = time.monotonic() + 55 if options.quick else float("inf")
    load = os.getloadavg()[0]
    if load > 0.5:
        complain(f"load average {load:.1f}: others are at work, the figures will be off")
    failed = False
    if not options.tsv:
        print_table_head()
    for name in names:
        rounds = {peer: [] for peer, listed in known.items() if name in listed}
        # Memory is the same every time, and a million tasks take a while.
        for _ in range(1 if is_memory(name) else options.rounds):
            for peer in list(rounds):
                try:
                    timeout = min(10 if options.quick else 120, deadline - time.monotonic())
                    if timeout <= 0:
                        raise ValueError("no time left")
                    rounds[peer].append(run(PROGRAMS[peer], name, options, timeout))
                except ValueError as error:
                    complain(f"{peer} {name}: {error}")
                    failed = True
                    del rounds[peer]
        if options.counters and rounds.get("weft"):
            notes = " ".join(f"{k}={v}" for k, v in rounds["weft"][-1].notes.items())
            complain(f"{name}: {notes}")
        (print_tsv if options.tsv else print_table_rows)(name, rounds)
    if not options.tsv:
        print_foot(known, load)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

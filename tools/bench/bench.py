#!/usr/bin/env python3
"""Soter beside pgBackRest, on the same cluster and disk, in turn. `make bench` runs this.

    bench.py [--size GB] [--repeats N] [--stages NAME,...] [--keep]

Stages: data, wal, warm, cold, restore, push, fetch, compare, report, clean. Each ends within ten
minutes at 7 GB; what was measured already on this commit is not measured again, so a run that was
stopped goes on where it was. Nothing is left behind but the report, unless --keep says so.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

import compare
import data
import report
import rows
from contenders import PgBackRest, Soter
from lab import Failed, Lab

HERE = pathlib.Path(__file__).resolve().parents[2]
STAGES = ["data", "wal", "warm", "cold", "restore", "push", "fetch", "compare", "report", "clean"]

# The cluster, its restored copy and three repositories; then WAL, which is the same at any size.
FREE_BYTES_PER_GIGABYTE = 3 << 30
FREE_BYTES_FOR_WAL = 8 << 30


def commit():
    def git(*words):
        return subprocess.run(["git", *words], cwd=HERE, check=True, capture_output=True, text=True).stdout
    changed = git("status", "--porcelain", "--", "crates", "Cargo.toml", "Cargo.lock").strip()
    return git("rev-parse", "--short=12", "HEAD").strip() + ("-changed" if changed else "")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=float, default=1, help="gigabytes of data (1)")
    parser.add_argument("--repeats", type=int, default=3, help="of each row (3)")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--directory", default=os.environ.get("SOTER_BENCH", "/var/tmp/soter-bench"))
    parser.add_argument("--binary", default=HERE / "target/release/soter", type=pathlib.Path)
    parser.add_argument("--keep", action="store_true", help="leave the data, for another run")
    chosen = parser.parse_args()
    chosen.stages = chosen.stages.split(",")
    unknown = set(chosen.stages) - set(STAGES)
    if unknown or chosen.size <= 0 or chosen.repeats < 1:
        parser.error(f"unknown stages: {unknown}" if unknown else "sizes and repeats are positive")
    return chosen


class Once:
    """Stages that make something: a marker says that they came to their end."""

    def __init__(self, lab):
        self.lab = lab

    def __call__(self, name, make):
        marker = self.lab.root / f"{name}-of-{self.lab.size:g}-GB"
        if not marker.exists():
            for other in self.lab.root.glob(f"{name}-of-*"):
                other.unlink()
            print(f"{name} ...", flush=True)
            make()
            marker.touch()


def check_space(lab):
    needed = FREE_BYTES_FOR_WAL + lab.size * FREE_BYTES_PER_GIGABYTE
    free = shutil.disk_usage(lab.root).free
    if not lab.data.exists() and free < needed:
        raise Failed(f"{lab.root} has {free >> 30} GiB free, {needed / (1 << 30):.0f} are needed: "
                     "choose another place with SOTER_BENCH, or a smaller SIZE")


def run(chosen):
    lab = Lab(chosen.directory, chosen.size)
    lab.make()
    check_space(lab)
    once, name = Once(lab), commit()
    bench = rows.Bench(lab, lab.root / f"results-{chosen.size:g}-GB-{name}.jsonl")
    # WAL has vaults of its own: each run begins with an empty one, and backups are still needed.
    soter = Soter(lab, "soter", lab.data, chosen.binary)
    soter_wal = Soter(lab, "soter-wal", lab.archiving, chosen.binary)
    bundles = PgBackRest(lab, "pgbackrest-bundles", bundles=True, asynchronous=False)
    files = PgBackRest(lab, "pgbackrest-files", bundles=False, asynchronous=False)
    ahead = PgBackRest(lab, "pgbackrest-async", bundles=True, asynchronous=True)
    alone = PgBackRest(lab, "pgbackrest-sync", bundles=True, asynchronous=False)
    of_data, of_wal = [soter, bundles, files], [soter_wal, ahead, alone]
    stages = {
        "data": lambda: once("data", lambda: data.load(lab)),
        "wal": lambda: once("wal", lambda: data.make_wal(lab, rows.SEGMENTS)),
        "warm": lambda: bench.row("full-warm", of_data, chosen.repeats,
                                  lambda one: bench.full_backup(one, is_cold=False)),
        "cold": lambda: bench.row("full-cold", of_data, chosen.repeats,
                                  lambda one: bench.full_backup(one, is_cold=True)),
        "restore": lambda: bench.row("restore", of_data, chosen.repeats, bench.restore),
        "push": lambda: bench.row("wal-push", of_wal, chosen.repeats, bench.push),
        "fetch": lambda: bench.row("wal-fetch", of_wal, chosen.repeats, bench.fetch),
        "compare": lambda: compare.restored(bench, of_data),
        "report": lambda: report.write(HERE, lab, bench, [soter, bundles], name),
        "clean": lambda: None if chosen.keep else rows.clean(lab),
    }
    try:
        for stage in STAGES:
            if stage in chosen.stages:
                stages[stage]()
    finally:
        lab.stop()


if __name__ == "__main__":
    try:
        run(arguments())
    except (Failed, subprocess.CalledProcessError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("bench: stopped; the same command goes on where it was")

"""The report: docs/benchmarks.json, and docs/benchmarks.md made from it.

A ratio is Soter's figure by that of pgBackRest in whichever of its settings was faster for this row;
below 1 Soter needed less. Runs are paired by repeat, since they ran one after the other.
"""

import datetime
import json
import os
import pathlib
import statistics
import subprocess

# What is to be reached: the row's name, its words, and the most that each ratio may be.
ROWS = [
    ("full-warm", "full backup, warm cache", {"wall": 0.65, "cpu": 0.7, "stored": 1.08}),
    ("full-cold", "full backup, cold cache", {"wall": 0.6, "cpu": 0.7}),
    ("restore", "full restore into an empty directory", {"wall": 0.95, "cpu": 0.7}),
    ("wal-push", "200 WAL segments by `archive_command`", {"wall": 0.6, "cpu": 0.6}),
    ("wal-fetch", "200 WAL segments by `restore_command`", {"wall": 0.5}),
]

MEMORY_BYTES_MAX = 100 << 20

FIELDS = {"wall": "wall_seconds", "cpu": "cpu_seconds", "stored": "stored_bytes"}

SETTINGS = {
    "soter": "Soter",
    "pgbackrest-bundles": "pgBackRest, small files bundled",
    "pgbackrest-files": "pgBackRest, a file for each file",
    "pgbackrest-async": "pgBackRest, asynchronous",
    "pgbackrest-sync": "pgBackRest, synchronous",
}


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def rounded(figures, digits):
    return {name: round(value, digits) for name, value in figures.items()}


def contender_of(results):
    """What one contender needed for one row."""
    found = {}
    for field, digits in (("wall_seconds", 2), ("cpu_seconds", 2), ("user_seconds", 2),
                          ("system_seconds", 2), ("others_cpu_seconds", 1), ("read_bytes", 0),
                          ("written_bytes", 0), ("disk_read_bytes", 0), ("stored_bytes", 0),
                          ("memory_sum_bytes", 0)):
        if all(field in result for result in results):
            found[field] = rounded(spread([result[field] for result in results]), digits)
    return {"repeats": len(results), **found}


def row_of(name, words, targets, done):
    by_contender = {}
    for result in sorted(done, key=lambda result: result["repeat"]):
        if result["row"] == name:
            by_contender.setdefault(result["contender"], []).append(result)
    theirs = [contender for contender in by_contender if contender != "soter"]
    if "soter" not in by_contender or not theirs:
        return None
    median = lambda contender: statistics.median(
        result["wall_seconds"] for result in by_contender[contender])
    better = min(theirs, key=median)
    pairs = list(zip(by_contender["soter"], by_contender[better]))
    ratios = {}
    for what, field in FIELDS.items():
        if all(field in result for pair in pairs for result in pair):
            ratios[what] = rounded(spread([ours[field] / other[field] for ours, other in pairs]), 3)
    return {
        "row": name, "words": words, "compared_with": better, "targets": targets, "ratios": ratios,
        "contenders": {contender: contender_of(results) for contender, results in by_contender.items()},
    }


def machine(lab):
    def out(*words):
        return subprocess.run(words, capture_output=True, text=True).stdout.strip()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    source = out("findmnt", "-no", "SOURCE", "-T", str(lab.root))
    disk = pathlib.Path(source).name.rstrip("0123456789")
    rotates = pathlib.Path(f"/sys/block/{disk}/queue/rotational")
    kind = "virtual disk" if disk.startswith("vd") else "disk"
    if not disk.startswith("vd") and rotates.exists():
        kind = "rotating disk" if rotates.read_text().strip() == "1" else "solid-state disk"
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / (1 << 30)),
        "disk": f"{kind}, {out('findmnt', '-no', 'FSTYPE', '-T', str(lab.root))}",
        "system": out("uname", "-sm"),
    }


def write(home, lab, bench, contenders, commit):
    rows = [row_of(name, words, targets, bench.done) for name, words, targets in ROWS]
    rows = [row for row in rows if row]
    soter, theirs = contenders
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "commit": commit,
        "size_gb": lab.size,
        "machine": machine(lab),
        "versions": {
            "soter": soter.version(),
            "pgbackrest": theirs.version(),
            "postgresql": lab.run(lab.binaries / "postgres", "--version").strip(),
        },
        "rows": rows,
    }
    docs = home / "docs"
    (docs / "benchmarks.json").write_text(json.dumps(report, indent=1) + "\n")
    page = docs / "benchmarks.md"
    # The section on checking plans is written by hand from `make bench-check`.
    _, mark, kept = page.read_text().partition("\n## Checking a plan\n") if page.exists() else ("", "", "")
    page.write_text(markdown(report) + mark + kept)
    print(markdown(report))


def markdown(report):
    machine, versions = report["machine"], report["versions"]
    lines = [
        "# Benchmarks",
        "",
        f"Made by `make bench SIZE={report['size_gb']:g}` on {report['date']}, commit {report['commit']}; "
        "all its figures are in [benchmarks.json](benchmarks.json).",
        "",
        f"{versions['soter']}, {versions['pgbackrest']}, {versions['postgresql']}; "
        f"{machine['cores']} cores, {machine['memory_gib']} GiB of memory, {machine['disk']}. "
        "Both use zstd 3, encryption, two workers, and make durable what they write. A ratio is Soter's "
        "figure by pgBackRest's in its faster setting: median of the pairs, then lowest and highest.",
        "",
        "| work | | ratio | | at most | |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        first = row["words"]
        for what, ratio in row["ratios"].items():
            target = row["targets"].get(what)
            verdict = "" if target is None else "reached" if ratio["median"] <= target else "missed"
            lines.append(f"| {first} | {what} | **{ratio['median']:.2f}** | {ratio['min']:.2f} to "
                         f"{ratio['max']:.2f} | {'' if target is None else target} | {verdict} |")
            first = ""
    lines += [memory_line(report), "", "## Figures", "",
              "Medians. CPU time and memory are those of all processes of the run together. Others' CPU "
              "time is what the machine did meanwhile for nobody of both: much of it makes wall times noisy.",
              "", "| work | by | wall s | CPU s | of it system | others' CPU s | read MB | stored MB | memory MiB |",
              "|---|---|---|---|---|---|---|---|---|"]
    for row in report["rows"]:
        first = row["words"]
        for contender, figures in row["contenders"].items():
            lines.append(f"| {first} | {SETTINGS[contender]} | {cells(figures)} |")
            first = ""
    return "\n".join(lines) + "\n"


def memory_line(report):
    peak = max(row["contenders"]["soter"]["memory_sum_bytes"]["max"] for row in report["rows"])
    verdict = "reached" if peak <= MEMORY_BYTES_MAX else "missed"
    return (f"| all of these | peak memory | **{peak / (1 << 20):.0f} MiB** | | "
            f"{MEMORY_BYTES_MAX >> 20} MiB | {verdict} |")


def cells(figures):
    def median(field, unit, digits):
        return f"{figures[field]['median'] / unit:.{digits}f}" if field in figures else ""
    return " | ".join([
        median("wall_seconds", 1, 2), median("cpu_seconds", 1, 2), median("system_seconds", 1, 2),
        median("others_cpu_seconds", 1, 1), median("read_bytes", 1e6, 0),
        median("stored_bytes", 1e6, 0), median("memory_sum_bytes", 1 << 20, 0),
    ])

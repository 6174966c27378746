"""What is measured: each row is one kind of work, done by each contender in turn."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import data
from lab import Failed, bytes_under, cool, warm

SEGMENTS = 200

# One call for each segment, as the server makes them, until all are durable.
LOOP = 'target="$2/RECOVERYXLOG"; for name in $(cat "$1"); do {command} || exit 1; done'


class Bench:
    """Runs rows and keeps their results; what is there already is not run again."""

    def __init__(self, lab, results):
        self.lab, self.results = lab, results
        self.done = [json.loads(line) for line in results.read_text().splitlines()] \
            if results.exists() else []

    def has(self, row, contender, repeat):
        return any((found["row"], found["contender"], found["repeat"]) ==
                   (row, contender.name, repeat) for found in self.done)

    def row(self, row, contenders, repeats, one):
        for repeat in range(1, repeats + 1):
            # Whoever comes first finds the machine as another row has left it.
            first = (repeat - 1) % len(contenders)
            for contender in contenders[first:] + contenders[:first]:
                if self.has(row, contender, repeat):
                    continue
                result = {"row": row, "contender": contender.name, "repeat": repeat, **one(contender)}
                with open(self.results, "a") as file:
                    file.write(json.dumps(result) + "\n")
                self.done.append(result)
                print(f"{row:12} {contender.name:18} {repeat}: {result['wall_seconds']:8.2f} s wall "
                      f"{result['cpu_seconds']:8.2f} s CPU "
                      f"{result['memory_sum_bytes'] / (1 << 20):6.0f} MiB", flush=True)

    def measure(self, contender, command, directory=None):
        """Runs a command under the measuring wrapper; it must succeed."""
        result, log = self.lab.log / "measured.json", self.lab.log / f"{contender.name}.log"
        result.unlink(missing_ok=True)
        words = [sys.executable, Path(__file__).with_name("measure.py"), "--result", result,
                 "--log", log]
        if self.lab.user:
            words += ["--user", self.lab.user]
        words += ["--", *command]
        subprocess.run([str(word) for word in words], cwd=directory or self.lab.root, check=True)
        measured = json.loads(result.read_text())
        if measured.pop("exit_code") != 0:
            end = "\n".join(log.read_text().splitlines()[-20:])
            raise Failed(f"{contender.name} failed; the end of {log}:\n{end}")
        return measured

    # The rows.

    def full_backup(self, contender, is_cold):
        """Beside it the server archives by the same tool; that counts as well."""
        lab = self.lab
        lab.ensure_running()
        lab.archive_by("")
        contender.begin()
        lab.archive_by(contender.archive_command())
        lab.psql("checkpoint", "select pg_switch_wal()")
        if is_cold:
            cool(lab.data)
        else:
            warm(lab.data, leave_out=("pg_wal",))
        archiver_seconds = lab.archiver_seconds()
        measured = self.measure(contender, contender.backup())
        lab.archive_by("")
        measured["cpu_seconds"] += round(lab.archiver_seconds() - archiver_seconds, 3)
        return {**measured, "stored_bytes": contender.stored_bytes()}

    def restore(self, contender):
        target = self.lab.fresh(self.lab.restored, mode=0o700)
        warm(contender.repository())
        measured = self.measure(contender, contender.restore(target))
        return {**measured, "restored_bytes": bytes_under(target)}

    def push(self, contender):
        self.lab.ensure_running()
        contender.begin()
        names = self.segments()
        warm(self.lab.wal)
        measured = self.each_segment(contender, contender.push(), names)
        return {**measured, "stored_bytes": bytes_under(contender.repository())}

    def fetch(self, contender):
        names = self.segments()
        warm(contender.repository())
        contender.forget_spool()
        target = self.lab.fresh(self.lab.root / "fetched")
        measured = self.each_segment(contender, contender.fetch(), names)
        last = names.read_text().split()[-1]
        if (target / "RECOVERYXLOG").read_bytes() != (self.lab.wal / last).read_bytes():
            raise Failed(f"{contender.name} gave other bytes for {last}")
        return measured

    def segments(self):
        names = self.lab.root / "segments"
        self.lab.write(names, "\n".join(data.segments(self.lab)) + "\n")
        return names

    def each_segment(self, contender, command, names):
        words = ["sh", "-c", LOOP.format(command=command), "sh", names, self.lab.root / "fetched"]
        return self.measure(contender, words, directory=self.lab.archiving)


def clean(lab):
    lab.stop()
    shutil.rmtree(lab.root)

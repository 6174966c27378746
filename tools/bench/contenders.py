"""The two that are compared, each with the same five abilities: begin anew, back up, restore, take a
segment, give a segment.

Both compress with zstd 3, encrypt, make durable what they store, and use two workers.
"""

import json
import shlex
import shutil

from lab import PORT, bytes_under

STORE = "bench"


class Soter:
    def __init__(self, lab, directory, data, binary):
        self.lab, self.name = lab, "soter"
        self.home, self.data = lab.root / directory, data
        self.binary = self.home / "soter"
        self.built = binary

    def version(self):
        return self.lab.run(self.built, "version").split("\n")[0]

    def begin(self):
        """An empty vault, its keys and a plan."""
        lab, home = self.lab, self.lab.fresh(self.home)
        shutil.copy2(self.built, self.binary)
        lab.hand_over(self.binary)
        url = f"file://{home}/vault"
        made = lab.run(self.binary, "--json", "vault", "init", "--url", url,
                       "--keys", home / "keys", "--store", STORE)
        root = json.loads(made)["root"]
        # A cluster that belonged to another vault belongs to nobody now.
        (self.data / "soter.incarnation").unlink(missing_ok=True)
        lab.write(home / "soter.yaml", f"""
vaults:
  main: {{ url: "{url}", keys: {{ root: "{root}", agent: "{home}/keys/agent.key" }} }}
stores:
  {STORE}:
    kind: postgres
    connection: "host={lab.sockets} port={PORT} user=bench dbname=bench"
    data_directory: {self.data}
    vaults: [main]
    backup: {{ workers: 2 }}
    compression: {{ level: 3 }}
""")

    def command(self, *words):
        return [self.binary, "--plan", self.home / "soter.yaml", *words]

    def archive_command(self):
        return shlex.join(str(word) for word in self.command("wal", "push", "%p"))

    def backup(self):
        return self.command("backup", STORE, "--full")

    def stored_bytes(self):
        return bytes_under(self.home / "vault" / "data") + bytes_under(self.home / "vault" / "map")

    def repository(self):
        return self.home / "vault"

    def restore(self, directory):
        return [self.binary, "restore", "--vault", f"file://{self.home}/vault",
                "--identity", self.home / "keys" / "operator-1.key",
                "--target-dir", directory, "--to", "latest"]

    def push(self):
        return shlex.join(str(word) for word in self.command("wal", "push")) + " pg_wal/$name"

    def forget_spool(self):
        """There is none: each segment is fetched when it is asked for."""

    def fetch(self):
        words = [self.binary, "wal", "fetch", "--vault", f"file://{self.home}/vault",
                 "--identity", self.home / "keys" / "operator-1.key"]
        return shlex.join(str(word) for word in words) + " $name $target"


class PgBackRest:
    """`bundles`: whether small files are stored together. `asynchronous`: whether a process of its
    own goes on with the WAL that follows."""

    def __init__(self, lab, name, bundles, asynchronous):
        self.lab, self.name = lab, name
        self.bundles, self.asynchronous = bundles, asynchronous
        self.home = lab.root / name
        self.configuration = self.home / "pgbackrest.conf"

    def version(self):
        return self.lab.run("pgbackrest", "version").strip()

    def begin(self):
        lab, home = self.lab, self.lab.fresh(self.home)
        for part in ("repo", "spool", "lock", "log"):
            lab.fresh(home / part)
        asynchronous = "y" if self.asynchronous else "n"
        bundles = "repo1-bundle=y" if self.bundles else ""
        lab.write(self.configuration, f"""
[global]
repo1-path={home}/repo
repo1-retention-full=9999999
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=the-passphrase-of-a-benchmark
{bundles}
compress-type=zst
compress-level=3
process-max=2
start-fast=y
log-level-console=warn
log-level-file=off
log-path={home}/log
lock-path={home}/lock
spool-path={home}/spool
[global:archive-push]
archive-async={asynchronous}
[global:archive-get]
archive-async={asynchronous}
[{STORE}]
pg1-path={lab.data}
pg1-socket-path={lab.sockets}
pg1-port={PORT}
pg1-user=bench
pg1-database=bench
""")
        lab.run(*self.command("stanza-create"))

    def command(self, *words):
        return ["pgbackrest", f"--config={self.configuration}", f"--stanza={STORE}", *words]

    def archive_command(self):
        return shlex.join(str(word) for word in self.command("archive-push", "%p"))

    def backup(self):
        return self.command("--type=full", "backup")

    def stored_bytes(self):
        return bytes_under(self.home / "repo" / "backup")

    def repository(self):
        return self.home / "repo"

    def restore(self, directory):
        return self.command(f"--pg1-path={directory}", "--archive-mode=off", "restore")

    def push(self):
        command = self.command(f"--pg1-path={self.lab.archiving}", "archive-push")
        return shlex.join(str(word) for word in command) + " pg_wal/$name"

    def forget_spool(self):
        """What was fetched ahead in the run before."""
        self.lab.fresh(self.home / "spool")

    def fetch(self):
        command = self.command(f"--pg1-path={self.lab.archiving}", "archive-get")
        return shlex.join(str(word) for word in command) + " $name $target"

"""The place where it all happens: directories, the unprivileged user, one PostgreSQL cluster.

The cluster listens on a Unix socket and nowhere else. All that is made lies under one directory, and
goes away with it.
"""

import os
import pathlib
import pwd
import shutil
import subprocess
import time

PORT = 5499


class Failed(Exception):
    """A command did not do what it should; the message has its words."""


class Lab:
    def __init__(self, root, size_gigabytes):
        self.root = pathlib.Path(root).resolve()
        self.size = size_gigabytes
        self.user = "postgres" if os.geteuid() == 0 else None
        self.binaries = newest_postgres()
        self.data = self.root / "data"
        self.sockets = self.root / "run"
        self.log = self.root / "log"
        self.restored = self.root / "restored"
        # Like a data directory, but only with what archiving needs: control file and WAL.
        self.archiving = self.root / "archiving"
        self.wal = self.archiving / "pg_wal"

    def make(self):
        """The directory, open to the user that everything runs as."""
        self.root.mkdir(parents=True, exist_ok=True)
        for path in (self.root, self.sockets, self.log):
            path.mkdir(exist_ok=True)
            self.hand_over(path)

    def hand_over(self, path):
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def fresh(self, path, mode=0o755):
        """An empty directory of the user; what was there is gone, but for its empty files: ext4 looks
        for an inode that was not deleted in the last minutes, at the cost of whoever comes next."""
        if path.exists():
            buried = self.root / "buried"
            buried.mkdir(exist_ok=True)
            for file in files_under(path):
                os.truncate(file, 0)
            path.rename(buried / f"{len(list(buried.iterdir()))}")
        path.mkdir(parents=True, mode=mode)
        self.hand_over(path)
        return path

    def run(self, *command, text=None, accepted=(0,)):
        """Runs a command as the user; its standard output."""
        words = [str(word) for word in command]
        home = pwd.getpwnam(self.user).pw_dir if self.user else os.environ["HOME"]
        done = subprocess.run(
            words, input=text, capture_output=True, text=True, user=self.user,
            group=self.user, extra_groups=[] if self.user else None, cwd=self.root,
            env={**os.environ, "HOME": home},
        )
        if done.returncode not in accepted:
            raise Failed(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def write(self, path, text):
        path.write_text(text)
        self.hand_over(path)

    # The cluster.

    def initdb(self):
        shutil.rmtree(self.data, ignore_errors=True)
        self.run(self.binaries / "initdb", "-D", self.data, "-A", "trust", "-U", "bench",
                 "--data-checksums", "--encoding=UTF8", "--locale=C", "--no-sync")
        settings = f"""
listen_addresses = ''
unix_socket_directories = '{self.sockets}'
port = {PORT}
shared_buffers = 512MB
max_wal_size = 2GB
checkpoint_timeout = 1h
wal_level = replica
max_wal_senders = 4
archive_mode = on
archive_command = ''
autovacuum = off
"""
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(settings)

    def start(self, data=None):
        data = data or self.data
        self.run(self.binaries / "pg_ctl", "-D", data, "-w", "-t", "300",
                 "-l", self.log / f"{data.name}-server.log", "start")

    def stop(self, data=None):
        data = data or self.data
        if (data / "postmaster.pid").exists():
            self.run(self.binaries / "pg_ctl", "-D", data, "-m", "fast", "-w", "-t", "300", "stop",
                     accepted=(0, 1))

    def ensure_running(self):
        status = [self.binaries / "pg_ctl", "-D", self.data, "status"]
        if "PID" not in self.run(*status, accepted=(0, 3, 4)):
            self.start()

    def psql(self, *statements, database="bench"):
        """The unadorned output of these statements, each in a transaction of its own."""
        words = [self.binaries / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.sockets,
                 "-p", PORT, "-U", "bench", "-d", database]
        for statement in statements:
            words += ["-c", statement]
        return self.run(*words).strip()

    def archive_by(self, command):
        """Lets the server archive by this command; by none, its WAL piles up."""
        quoted = command.replace("'", "''")
        self.psql(f"alter system set archive_command = '{quoted}'", "select pg_reload_conf()")
        self.wait(f"select current_setting('archive_command') = '{quoted}'")

    def wait(self, question, seconds=60):
        """Until the server answers yes."""
        until = time.monotonic() + seconds
        while self.psql(question) != "t":
            if time.monotonic() > until:
                raise Failed(f"after {seconds} s the server still says no to: {question}")
            time.sleep(0.05)

    def archiver_seconds(self):
        """CPU time that the archiver and the commands it has run took so far."""
        first = (self.data / "postmaster.pid").read_text().split()[0]
        for process in pathlib.Path("/proc").iterdir():
            if not process.name.isdigit():
                continue
            try:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                if fields[1] == first and b"archiver" in (process / "cmdline").read_bytes():
                    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
            except OSError:
                continue
        return 0.0


def newest_postgres():
    named = os.environ.get("SOTER_PG_BIN")
    if named:
        return pathlib.Path(named)
    for version in (18, 17, 16, 15, 14):
        path = pathlib.Path(f"/usr/lib/postgresql/{version}/bin")
        if (path / "postgres").exists():
            return path
    raise Failed("there is no PostgreSQL 14 to 18; scripts/install-bench-tools installs one")


def warm(root, leave_out=()):
    """Reads all files, so that the page cache has what it can have of them."""
    os.sync()
    for path in files_under(root, leave_out):
        with open(path, "rb", buffering=0) as file:
            buffer = bytearray(1 << 20)
            while file.readinto(buffer):
                pass


def cool(root):
    """Drops all files from the page cache; as root the kernel's other caches too."""
    os.sync()
    for path in files_under(root):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if os.geteuid() == 0:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


def files_under(root, leave_out=()):
    for directory, directories, names in os.walk(root):
        directories[:] = [name for name in directories if name not in leave_out]
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def bytes_under(root):
    return sum(os.path.getsize(path) for path in files_under(root))

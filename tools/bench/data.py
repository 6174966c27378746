"""What is backed up: seeded, so that the same size is the same data on every machine.

Per gigabyte: pgbench's tables (heaps that compress well and an index), rows of text and JSON with three
indexes, long documents (TOAST), and of small tables and an unlogged one the same at every size.
"""

import random
import shutil
import subprocess
import threading

from lab import PORT, Failed

SEED = 42
CORPUS_LETTERS = 32_000_000

TABLES = """
create table events(id bigint, ref uuid, ts timestamptz, acct int, amount int, payload jsonb, note text);
create table docs(id bigint, body text);
create unlogged table scratch(id bigint, filler text);
do $$ begin for i in 1..200 loop
  execute format('create table small_%s(id int primary key, v text)', i);
  execute format('insert into small_%s select g, md5(g::text) from generate_series(1, %s) g', i, 10 + i * 3);
end loop; end $$;
insert into scratch select g, repeat(md5(g::text), 4) from generate_series(1, 200000) g;
"""

INDEXES = """
create index on events(id);
create index on events(ref);
create index on events(ts, acct);
create index on docs(id);
"""

SYLLABLES = [first + second for first in "bcdfghjklmnprstvwz" for second in
             ("a", "e", "i", "o", "u", "an", "en", "ing", "or", "er", "at", "es", "on", "is", "all")]


def corpus(source):
    """Words made of syllables, the n-th most frequent one as rare as in natural text: 1/n."""
    words = []
    for rank in range(1, 20_001):
        length = 1 + min(4, rank.bit_length() // 4 + source.randrange(2))
        words.append("".join(source.choices(SYLLABLES, k=length)))
    weights, total = [], 0.0
    for rank in range(1, len(words) + 1):
        total += 1 / rank
        weights.append(total)
    parts, letters = [], 0
    while letters < CORPUS_LETTERS:
        part = " ".join(source.choices(words, cum_weights=weights, k=200_000))
        parts.append(part)
        letters += len(part) + 1
    return " ".join(parts)


def event(source, text, number, rows):
    at, length = int(source.random() * (len(text) - 500)), 80 + int(source.random() * 220)
    bits = source.getrandbits
    ref = f"{bits(32):08x}-{bits(16):04x}-4{bits(12):03x}-8{bits(12):03x}-{bits(48):012x}"
    month, day = 1 + number * 12 // rows, 1 + number // 1000 % 28
    moment = f"2026-{month:02d}-{day:02d} {number // 60 % 24:02d}:{number % 60:02d}:{number % 59:02d}.{bits(19):06d}"
    payload = (f'{{"user": {bits(10)}, "ip": "10.{bits(8)}.{bits(8)}.{bits(8)}", '
               f'"status": {source.choice((200, 200, 200, 404, 500))}, "ms": {source.random() * 500:.3f}, '
               f'"path": "/api/v1/{text[at + 300:at + 312].replace(" ", "/")}"}}')
    return f"{number}\t{ref}\t{moment}\t{bits(28)}\t{bits(10)}\t{payload}\t{text[at:at + length]}\n"


def document(source, text, number, _rows):
    at, length = int(source.random() * (len(text) - 20_000)), 3000 + int(source.random() * 10_000)
    return f"{number}\t{text[at:at + length]}\n"


def copy(lab, table, rows, make, text):
    """Feeds rows into COPY from a generator that is seeded by the table's name."""
    source = random.Random(f"{SEED} {table}")
    words = [lab.binaries / "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-h", lab.sockets, "-p", PORT,
             "-U", "bench", "-d", "bench", "-c", f"copy {table} from stdin"]
    feed = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, text=True,
                            user=lab.user, cwd=lab.root)
    for first in range(0, rows, 1000):
        last = min(first + 1000, rows)
        feed.stdin.write("".join(make(source, text, number, rows) for number in range(first, last)))
    feed.stdin.close()
    if feed.wait():
        raise Failed(f"copy {table} ended with {feed.returncode}")


def load(lab):
    """A cluster with all its data, checkpointed and at rest."""
    lab.stop()
    lab.initdb()
    lab.start()
    lab.run(lab.binaries / "createdb", "-h", lab.sockets, "-p", PORT, "-U", "bench", "bench")
    # Nothing is archived yet, and WAL of the loading would only fill the disk.
    lab.archive_by("true")
    scale = max(1, round(43 * lab.size))
    pgbench = [lab.binaries / "pgbench", "-h", lab.sockets, "-p", PORT, "-U", "bench", "-q"]
    filler = threading.Thread(target=lambda: lab.run(*pgbench, "-i", "-s", scale, "bench"))
    filler.start()
    text = corpus(random.Random(SEED))
    filler.join()
    lab.psql(TABLES)
    copy(lab, "events", round(430_000 * lab.size), event, text)
    copy(lab, "docs", round(19_000 * lab.size), document, text)
    lab.psql(INDEXES)
    lab.psql("vacuum (freeze, analyze)")
    lab.psql("checkpoint", "select pg_switch_wal()", "checkpoint")
    lab.archive_by("")


def make_wal(lab, segments):
    """So many whole segments of full-page images, small records and bulk inserts, moved out of the
    cluster into a directory that looks like it, each marked as ready to be archived."""
    lab.ensure_running()
    lab.archive_by("")
    lab.psql("drop table if exists more", "create table more as select * from events limit 0")
    pgbench = ["env", "PGOPTIONS=-c synchronous_commit=off", lab.binaries / "pgbench",
               "-h", lab.sockets, "-p", PORT, "-U", "bench", "-N", "-n", "-c", "8", "-j", "2"]
    seed = SEED
    while len(waiting(lab)) < segments * 6 // 10:
        lab.psql("checkpoint")
        lab.run(*pgbench, "-t", "2500", f"--random-seed={seed}", "bench")
        seed += 1
    while len(waiting(lab)) < segments:
        lab.psql("insert into more select * from events limit 100000")
    names = waiting(lab)[:segments]
    lab.psql("drop table more", "vacuum", "select pg_switch_wal()", "checkpoint")
    lab.stop()
    status = lab.wal / "archive_status"
    for directory in (lab.archiving, lab.archiving / "global", lab.wal, status):
        lab.fresh(directory)
    control = shutil.copy2(lab.data / "global" / "pg_control", lab.archiving / "global")
    lab.hand_over(control)
    for name in names:
        shutil.move(lab.data / "pg_wal" / name, lab.wal / name)
        shutil.move(lab.data / "pg_wal" / "archive_status" / f"{name}.ready", status)
    # What is left waiting belongs to no row.
    lab.start()
    lab.archive_by("true")
    lab.psql("select pg_switch_wal()")
    lab.wait("select not exists (select from pg_ls_archive_statusdir() where name like '%.ready')")
    lab.archive_by("")
    lab.psql("checkpoint")


def waiting(lab):
    status = lab.data / "pg_wal" / "archive_status"
    names = [path.stem for path in status.glob("*.ready")]
    return sorted(name for name in names if len(name) == 24)


def segments(lab):
    """The names of the segments that make_wal has put aside."""
    return sorted(path.name for path in lab.wal.iterdir() if len(path.name) == 24)

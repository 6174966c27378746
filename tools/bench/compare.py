"""Whether what comes back is what was backed up; not timed.

Each contender's last backup is restored and started; every table must have the same rows as the
original, which has not been written to since.
"""

from lab import Failed

# The order of rows does not matter, and neither does how hashes collide: two sums of each table.
SUMS = """
select string_agg(format('select %L, count(*), sum(hashtextextended(t::text, 1)), '
                         'sum(hashtextextended(t::text, 2)) from %I t', relname, relname),
                  ' union all ' order by relname)
from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relpersistence = 'p'
"""


def sums(lab):
    return lab.psql("set max_parallel_workers_per_gather = 2; " + lab.psql(SUMS)).splitlines()


def restored(bench, contenders):
    lab = bench.lab
    lab.ensure_running()
    original = sums(lab)
    lab.stop()
    for contender in contenders:
        bench.restore(contender)
        log = lab.log / "restored-server.log"
        log.unlink(missing_ok=True)
        with open(lab.restored / "postgresql.conf", "a") as file:
            file.write(f"unix_socket_directories = '{lab.sockets}'\n")
        lab.start(lab.restored)
        try:
            lab.wait("select pg_last_wal_replay_lsn() is not null or not pg_is_in_recovery()")
            found = sums(lab)
        finally:
            lab.stop(lab.restored)
        if found != original:
            different = sorted(set(found) ^ set(original))[:10]
            raise Failed(f"{contender.name} restored other rows: {different}")
        print(f"{contender.name}: {len(original)} tables restored, equal to the original", flush=True)

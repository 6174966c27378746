//! A workload that makes a server write about every kind of WAL record there is, for tests.

use crate::cluster::MajorVersion;
use crate::lsn::SegmentSize;
use crate::testing::TestCluster;

/// Small segments, so that many records and headers lie across their borders.
pub(super) const SEGMENT_SIZE_MIB: u32 = 1;

/// A cluster that keeps all the WAL it writes from now on.
pub(super) fn cluster() -> TestCluster {
    let segment_size = format!("--wal-segsize={SEGMENT_SIZE_MIB}");
    let cluster = TestCluster::initdb(&[&segment_size]).unwrap();
    let compression = if cluster.binaries().version() >= MajorVersion::V15 { "lz4" } else { "on" };
    cluster
        .configure(&[
            "wal_keep_size = 4GB",
            "max_prepared_transactions = 5",
            "autovacuum = off",
            "wal_level = logical",
            &format!("wal_compression = {compression}"),
        ])
        .unwrap();
    cluster
}

pub(super) fn segment_size() -> SegmentSize {
    SegmentSize::new(SEGMENT_SIZE_MIB << 20).unwrap()
}

/// Runs on a started cluster and leaves it started, after a crash in between.
pub(super) fn run(cluster: &mut TestCluster) {
    let directory = cluster.directory().join("space");
    std::fs::create_dir(&directory).unwrap();
    crate::testing::hand_over(&directory, cluster.owner()).unwrap();
    cluster.psql(&format!("create tablespace space location '{}'", directory.display())).unwrap();
    cluster.psql(TABLES).unwrap();
    cluster.psql(TRANSACTIONS).unwrap();
    for statement in DATABASES {
        cluster.psql(statement).unwrap();
    }
    if cluster.binaries().version() >= MajorVersion::V15 {
        for strategy in ["wal_log", "file_copy"] {
            let name = format!("copy_{strategy}");
            let sql = format!("create database {name} strategy {strategy}");
            cluster.psql(&sql).unwrap();
            cluster.psql_in(&name, "create table in_copy as select 1 i").unwrap();
        }
    }
    cluster.psql("select pg_switch_wal(); set wal_compression = off;").unwrap();
    cluster.pgbench(&["--initialize", "--quiet", "--init-steps=dtgp"]).unwrap();
    cluster.pgbench(&["--client=4", "--transactions=50", "--no-vacuum"]).unwrap();
    cluster.psql(LAST).unwrap();
    cluster.kill().unwrap();
    cluster.start().unwrap();
    cluster.psql("checkpoint; insert into t select i from generate_series(1, 10) i").unwrap();
}

const TABLES: &str = "
    create table t (i int, p point default point(random(), random()), a int[] default '{1,2,3}',
        x text default repeat(md5(random()::text), 3));
    create index on t using btree (i);
    create index on t using hash (i);
    create index on t using gin (a);
    create index on t using gist (p);
    create index on t using spgist (p);
    create index on t using brin (i);
    insert into t (i) select generate_series(1, 1200);
    update t set i = i + 1 where i % 3 = 0;
    delete from t where i % 5 = 0;
    vacuum t;
    checkpoint;
    update t set x = 'new' where i % 7 = 0;
    cluster t using t_i_idx;
    vacuum full t;
    vacuum (freeze) t;
    create table cut as select generate_series(1, 4000) i;
    delete from cut where i > 500;
    vacuum cut;
    create table emptied as select generate_series(1, 1000) i;
    truncate emptied;
    insert into emptied select generate_series(1, 100);
    create table dropped as select generate_series(1, 1000) i;
    drop table dropped;
    create unlogged table unlogged as select 1 i;
    create table moved as select generate_series(1, 1000) i;
    alter table moved set tablespace space;
    create sequence numbers;
    select count(nextval('numbers')) from generate_series(1, 100);
    create table wide as select repeat(string_agg(md5(i::text), ''), 20) big
        from generate_series(1, 3000) i;
    select pg_logical_emit_message(true, 'test', repeat('message', 300000));
    analyze;
";

const TRANSACTIONS: &str = "
    begin; insert into t (i) values (1);
    savepoint one; insert into t (i) values (2); rollback to one;
    savepoint two; create table inner_table (i int); release two;
    insert into t (i) values (3); commit;
    begin; insert into t (i) select generate_series(1, 100); drop table inner_table; rollback;
    begin; create table prepared (i int); drop table cut; prepare transaction 'kept';
    commit prepared 'kept';
    begin; create table prepared_in_vain (i int); savepoint s; insert into t (i) values (9);
    prepare transaction 'void';
    rollback prepared 'void';
    select pg_create_restore_point('before the mistake');
    begin; insert into t (i) values (4); select 1 from t where i = 3 for share; commit;
";

const DATABASES: [&str; 3] = ["create database other", "drop database other", "checkpoint"];

const LAST: &str = "
    select pg_create_restore_point('after the mistake');
    delete from t where i < 100;
    vacuum t;
    alter system set max_connections = 31;
    insert into t (i) select generate_series(1, 200);
";

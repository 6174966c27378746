use std::sync::Arc;

use soter_postgres::testing::{TestCluster, hand_over};
use soter_runbook::driver::Asked;
use soter_runbook::procedure::Probe;
use soter_world::exec::Command;
use soter_world::sim::{SeededRandom, seeds};
use soter_world::{Disk, OsDisk, Secret, SystemRandom, durable, random};

use super::*;
use crate::testing::{self, Desk};
use soter_runbook::procedure::Given;

fn rows(columns: &[&str], values: &[&[Option<&str>]]) -> Rows {
    let row = |values: &&[Option<&str>]| values.iter().map(|v| v.map(str::to_owned)).collect();
    Rows {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        rows: values.iter().map(row).collect(),
        left_out: 0,
        count: values.len() as u64,
    }
}

#[test]
fn one_value_answers_and_nothing_else_does() {
    let check = |rows: &Rows, expect: Option<&str>, answer: Answer, says: &str| {
        let expectation = expect.map(Expectation::parse);
        let (found, seen) = judge(rows, expectation.as_ref());
        assert_eq!(found, answer, "{rows:?} {expect:?}");
        assert!(seen.contains(says), "{seen}");
    };
    let value = |text| rows(&["n"], &[&[Some(text)]]);
    check(&value("7"), Some("> 3"), Answer::Yes, "n: 7");
    check(&value("2"), Some("> 3"), Answer::No, "n: 2");
    check(&value("x"), Some("> 3"), Answer::Unknown, "n: x");
    check(&value("t"), None, Answer::Yes, "n: t");
    check(&value("f"), None, Answer::No, "n: f");
    // A count of nothing is not a yes.
    check(&value("0"), None, Answer::Unknown, "say with `expect`");
    check(&rows(&["n"], &[&[None]]), Some("< 3600"), Answer::Unknown, "NULL is no value");
    check(&rows(&["n"], &[&[None]]), None, Answer::Unknown, "NULL is no value");
    check(&rows(&["n"], &[]), None, Answer::No, "(0 rows)");
    check(&rows(&["n"], &[]), Some("= 0"), Answer::Unknown, "no row came back");
    let two = [&[Some("1")][..], &[Some("2")]];
    check(&rows(&["n"], &two), Some("= 1"), Answer::Unknown, "2 rows came back");
    let wide = [&[Some("1"), None][..]];
    check(&rows(&["a", "b"], &wide), Some("= 1"), Answer::Unknown, "a | b\n1 | NULL");
    check(&Rows::default(), Some(""), Answer::Unknown, "no statement of it gives rows");
}

#[test]
fn a_step_gives_the_columns_of_its_row() {
    let gives = ["moment".to_owned(), "rows".to_owned()];
    let found = rows(&["moment", "rows"], &[&[Some("12:30"), Some("7")]]);
    let outputs = judge_step(&found, None, &gives).unwrap();
    let expect = BTreeMap::from([("moment", "12:30"), ("rows", "7")]);
    assert!(outputs.iter().map(|(a, b)| (a.as_str(), b.as_str())).eq(expect));
    let says = |rows: &Rows, words: &str| {
        let why = judge_step(rows, None, &gives).unwrap_err();
        assert!(why.contains(words), "{why}");
    };
    says(&rows(&["moment"], &[]), "from one row, and 0 came back");
    says(&rows(&["moment", "n"], &[&[Some("1"), Some("2")]]), "write `… AS rows`");
    says(&rows(&["moment", "rows"], &[&[Some("1"), None]]), "gives NULL for `rows`");
}

/// A server, and a run whose store it is.
struct Bench {
    cluster: TestCluster,
    desk: Desk,
}

impl Bench {
    fn new() -> Self {
        let mut cluster = TestCluster::initdb(&[]).unwrap();
        cluster.start().unwrap();
        let target = format!(
            "kind: drill\nstores: {{ orders: {{ connection: \"{}\" }} }}\n",
            cluster.connection_string()
        );
        let desk = Desk::new("stores: { orders: { kind: postgres } }\n", &target);
        Self { cluster, desk }
    }

    fn queries(&self) -> Queries {
        Queries { stores: self.desk.stores() }
    }

    fn sql(query: &str) -> Sql {
        Sql {
            store: Some("orders".to_owned()),
            database: None,
            query: query.to_owned(),
            expect: None,
        }
    }

    fn ask(&self, sql: Sql, expect: Option<&str>, limit: Duration) -> Reply {
        let probe = Probe {
            title: String::new(),
            question: Question::Sql(sql),
            expect: expect.map(str::to_owned),
            stable_for: None,
            within: None,
        };
        let asking = Asking {
            run: testing::run(),
            kind: soter_runbook::driver::Kind::Drill,
            about: Asked::Phase(0),
            token: 1,
            probe: Arc::new(probe),
            on: None,
            parameters: Arc::new(parameters()),
            limit,
        };
        self.queries().answer(&asking, &self.desk.place()).unwrap()
    }

    fn carry_out(&self, sql: Sql, gives: &[&str], stop: &Stop) -> Outcome {
        let attempt = testing::attempt(procedure::Action::Sql(sql), |step| {
            step.gives = gives.iter().map(|name| (*name).to_owned()).collect();
        });
        let attempt = Attempt { parameters: Arc::new(parameters()), ..attempt };
        match self.queries().work(&attempt, &self.desk.place()).unwrap().unwrap() {
            Work::Here(work) => work(stop),
            _ => panic!("a query is no command"),
        }
    }
}

fn parameters() -> Parameters {
    let mut parameters = Parameters::default();
    parameters.insert("secret", Given::Hidden(Secret::new("hunter2-and-more".to_owned())));
    parameters.insert("limit", Given::Plain("5".to_owned()));
    parameters
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn real_a_question_is_answered_and_changes_nothing() {
    let bench = Bench::new();
    bench.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 7) AS n").unwrap();
    let count = "SELECT count(*) FROM t WHERE n > ${limit}";
    let reply = bench.ask(Bench::sql(count), Some("= 2"), LONG);
    assert_eq!((reply.answer, reply.evidence.as_str()), (Answer::Yes, "count: 2"));
    let reply = bench.ask(Bench::sql("SELECT count(*) < ${limit} FROM t"), None, LONG);
    assert_eq!(reply.answer, Answer::No, "{reply:?}");
    for change in ["DELETE FROM t", "COMMIT; DELETE FROM t", "SELECT 1; DROP TABLE t"] {
        let reply = bench.ask(Bench::sql(change), None, LONG);
        assert_eq!(reply.answer, Answer::Unknown, "{change}: {reply:?}");
        assert!(reply.evidence.contains("read-only transaction"), "{reply:?}");
    }
    assert_eq!(bench.cluster.psql("SELECT count(*) FROM t").unwrap(), "7");
    let other = Sql { database: Some("nowhere".to_owned()), ..Bench::sql("SELECT 1") };
    let reply = bench.ask(other, Some("1"), LONG);
    assert_eq!(reply.answer, Answer::Unknown);
    assert!(reply.evidence.contains("database \"nowhere\" does not exist"), "{reply:?}");
    let reply = bench.ask(Bench::sql("SELECT '${secret}'"), Some("x"), LONG);
    assert_eq!(reply.evidence, "?column?: ****");
}

#[test]
fn real_a_question_ends_in_its_time_and_an_absent_server_says_nothing() {
    let mut bench = Bench::new();
    let slow = Bench::sql("SELECT pg_sleep(50) IS NULL");
    let reply = bench.ask(slow, None, Duration::from_secs(1));
    assert_eq!(reply.answer, Answer::Unknown, "{reply:?}");
    let active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(50)%' \
                  AND state = 'active' AND pid <> pg_backend_pid()";
    assert_eq!(bench.cluster.psql(active).unwrap(), "0", "it goes on after its time");
    bench.cluster.kill().unwrap();
    let reply = bench.ask(Bench::sql("SELECT true"), None, LONG);
    assert_eq!(reply.answer, Answer::Unknown, "{reply:?}");
}

#[test]
fn real_a_step_changes_all_or_nothing_and_gives_values() {
    let bench = Bench::new();
    let make = "CREATE TABLE t AS SELECT generate_series(1, ${limit}) AS n;
                SELECT count(*) AS rows, max(n) AS newest FROM t";
    let done = bench.carry_out(Bench::sql(make), &["newest", "rows"], &Stop::new());
    let Outcome::Done { outputs, .. } = done else { panic!("{done:?}") };
    assert_eq!((outputs["newest"].as_str(), outputs["rows"].as_str()), ("5", "5"));
    let half = Bench::sql("DELETE FROM t; SELECT 1 / 0");
    let failed = bench.carry_out(half, &[], &Stop::new());
    assert!(matches!(&failed, Outcome::Failed(why) if why.contains("division by zero")));
    assert_eq!(bench.cluster.psql("SELECT count(*) FROM t").unwrap(), "5");
    let strict = Sql { expect: Some("> 9".to_owned()), ..Bench::sql("SELECT count(*) FROM t") };
    let failed = bench.carry_out(strict, &[], &Stop::new());
    assert!(matches!(&failed, Outcome::Failed(why) if why.contains("count: 5")), "{failed:?}");
}

#[test]
fn real_a_step_is_stopped_and_a_lost_answer_is_unknown() {
    let bench = Bench::new();
    let stop = Stop::new();
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    let stopped = std::thread::scope(|scope| {
        let sleeping =
            scope.spawn(|| bench.carry_out(Bench::sql("SELECT pg_sleep(50)"), &[], &stop));
        soter_postgres::testing::wait_until("it sleeps", || {
            bench.cluster.psql(asleep).unwrap() == "1"
        })
        .unwrap();
        stop.stop();
        sleeping.join().unwrap()
    });
    let is_cancelled = |why: &String| why.contains("canceling statement");
    assert!(matches!(&stopped, Outcome::Failed(why) if is_cancelled(why)), "{stopped:?}");
    let lost = std::thread::scope(|scope| {
        let stop = Stop::new();
        let bench = &bench;
        let sleeping =
            scope.spawn(move || bench.carry_out(Bench::sql("SELECT pg_sleep(50)"), &[], &stop));
        soter_postgres::testing::wait_until("it sleeps", || {
            bench.cluster.psql(asleep).unwrap() == "1"
        })
        .unwrap();
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                    WHERE wait_event = 'PgSleep'";
        bench.cluster.psql(kill).unwrap();
        sleeping.join().unwrap()
    });
    assert!(matches!(&lost, Outcome::Unknown(why) if why.contains("is unknown")), "{lost:?}");
}

#[test]
fn real_any_value_arrives_as_it_is_in_any_quotes() {
    let bench = Bench::new();
    let stores = bench.desk.stores();
    let server = stores.connection("orders", &bench.desk.place()).unwrap();
    let letters =
        ["'", "\"", "\\", "$", "$$", "a", "é", " ", "--", "/*", "*/", ";", "E'", "\n", "{"];
    for seed in seeds(30) {
        let random = SeededRandom::new(seed);
        let value: String =
            (0..random.index(8)).map(|_| letters[random.index(letters.len())]).collect();
        let mut parameters = Parameters::default();
        parameters.insert("x", Given::Plain(value.clone()));
        for text in ["SELECT '${x}'", "SELECT E'${x}'", "SELECT 'it''s', -- ${x}\n E'\\'', '${x}'"]
        {
            let text = quote::fill(&parameters, text).unwrap();
            let (server, disk) = (server.clone(), stores.disk());
            let query = Query { server, disk, text: text.clone(), is_question: true };
            let found = ask::put(query, Some(LONG), &Stop::new(), &SystemClock)
                .unwrap_or_else(|error| panic!("seed {seed}: {text}: {error:?}"));
            let last = found.rows[0].last().unwrap().as_deref();
            assert_eq!(last, Some(value.as_str()), "seed {seed}: {text}");
        }
    }
}

#[test]
fn real_an_answer_that_is_too_long_is_not_kept_and_that_is_said() {
    let bench = Bench::new();
    let many = "SELECT n FROM generate_series(1, 300000) AS n";
    let reply = bench.ask(Bench::sql(many), Some("= 1"), LONG);
    assert_eq!(reply.answer, Answer::Unknown);
    for words in ["(300000 rows, of which 299000 were not kept", "300000 rows came back"] {
        assert!(reply.evidence.contains(words), "{}", reply.evidence);
    }
    let step = bench.carry_out(Bench::sql(many), &["n"], &Stop::new());
    assert!(matches!(&step, Outcome::Failed(why) if why.contains("300000 came back")), "{step:?}");
    // By its length, too: the first row is kept, and those that fit.
    let wide = "SELECT repeat('x', 600 << 10) AS x FROM generate_series(1, 3)";
    let reply = bench.ask(Bench::sql(wide), None, LONG);
    assert!(reply.evidence.contains("3 rows came back"), "{}", reply.evidence);
    let one = bench.ask(Bench::sql("SELECT repeat('x', 5 << 20)"), Some("y"), LONG);
    assert_eq!(one.answer, Answer::No, "{}", one.evidence);
    // What is longer is not even read; a step does not know what became of it then.
    let endless = "CREATE TABLE t AS SELECT 1; SELECT repeat('x', 100 << 20)";
    let step = bench.carry_out(Bench::sql(endless), &[], &Stop::new());
    let says = "a row of the answer has 100 MiB, and at most 16 are read";
    assert!(matches!(&step, Outcome::Unknown(why) if why.contains(says)), "{step:?}");
    let reply = bench.ask(Bench::sql("SELECT repeat('x', 100 << 20)"), None, LONG);
    assert!(reply.answer == Answer::Unknown && reply.evidence.contains(says), "{reply:?}");
}

/// Two authorities, a server under one of its two addresses, and a role, vouched for by the first.
const CERTIFICATES: &str = "
for ca in ca other; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $ca.key \
    -subj /CN=$ca -days 2 -out $ca.crt
done
new() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $1.key -subj /CN=$2 -out $1.csr
  printf '%s' \"$3\" > ext
  openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out $1.crt -extfile ext
}
new server server subjectAltName=IP:$ADDRESS
new role certified extendedKeyUsage=clientAuth
";

/// A server that lets in over the network who comes with TLS, at two addresses of this machine that no
/// other test uses; its certificate is for the first.
struct Protected {
    place: tempfile::TempDir,
    addresses: [String; 2],
    bench: Bench,
}

impl Protected {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let [a, b, c] = random::bytes::<3>(&SystemRandom);
        let addresses = [c & 0xfe, c | 1].map(|c| format!("127.{}.{b}.{c}", a.max(1)));
        let openssl = Command::new("bash").args(["-euc", CERTIFICATES]);
        let openssl = openssl.env("ADDRESS", &addresses[0]).current_dir(place.path());
        openssl.run(LONG).unwrap().checked().unwrap();
        let mut cluster = TestCluster::initdb(&[]).unwrap();
        let data = cluster.data_directory().to_owned();
        let put = |name: &str, bytes: &[u8]| {
            durable::write_durable(&OsDisk, &data.join(name), bytes).unwrap();
            OsDisk.set_mode(&data.join(name), 0o600).unwrap();
        };
        for name in ["ca.crt", "server.crt", "server.key"] {
            put(name, &std::fs::read(place.path().join(name)).unwrap());
        }
        let rules =
            "local all all trust\nhostssl all certified all cert\nhostssl all all all trust\n";
        put("pg_hba.conf", rules.as_bytes());
        cluster.configure(&["ssl = on", "ssl_ca_file = 'ca.crt'"]).unwrap();
        hand_over(&data, cluster.owner()).unwrap();
        cluster.start_with(&[("listen_addresses", &addresses.join(","))]).unwrap();
        cluster.psql("CREATE ROLE certified LOGIN").unwrap();
        let desk = Desk::new("", "kind: drill\n");
        Self { place, addresses, bench: Bench { cluster, desk } }
    }

    fn path(&self, name: &str) -> String {
        self.place.path().join(name).display().to_string()
    }

    /// Asks it over a connection; with more that the target says of the store.
    fn ask(&mut self, connection: &str, more: &str) -> Reply {
        let store = format!("orders: {{ connection: \"{connection}\"{more} }}");
        let target = format!("kind: drill\nstores: {{ {store} }}\n");
        self.bench.desk = Desk::new("stores: { orders: { kind: postgres } }\n", &target);
        let is_secret = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        self.bench.ask(Bench::sql(is_secret), None, LONG)
    }
}

#[test]
fn real_a_server_is_asked_with_the_tls_that_is_demanded() {
    let mut server = Protected::start();
    let [address, other] = server.addresses.clone();
    let [ca, stranger] = ["ca.crt", "other.crt"].map(|name| server.path(name));
    let by = |mode: &str, ca: &str| format!("sslmode={mode} sslrootcert={ca}");
    let named = |ca: &str| format!(", ca_file: {ca}");
    let mut check = |host: &str, (tls, more): (&str, &str), expect: Result<(), &str>| {
        let reply = server.ask(&format!("host={host} user=postgres {tls}"), more);
        let context = format!("{host} {tls}{more}: {}", reply.evidence);
        match expect {
            Ok(()) => assert_eq!(reply.answer, Answer::Yes, "{context}"),
            Err(words) => {
                assert!(reply.answer == Answer::Unknown && context.contains(words), "{context}");
            }
        }
    };
    check(&address, ("sslmode=prefer", ""), Err("no encryption"));
    check(&address, ("sslmode=require", ""), Ok(()));
    check(&other, ("sslmode=require", ""), Ok(()));
    check(&address, (&by("verify-full", &ca), ""), Ok(()));
    check(&address, ("sslmode=verify-full", &named(&ca)), Ok(()));
    check(&other, (&by("verify-full", &ca), ""), Err("not valid for name"));
    check(&other, (&by("verify-ca", &ca), ""), Ok(()));
    for mode in ["require", "verify-ca", "verify-full"] {
        check(&address, (&by(mode, &stranger), ""), Err("UnknownIssuer"));
    }
    check(&address, ("sslmode=verify-ca", &named(&stranger)), Err("UnknownIssuer"));
    let nobody = "it is not said who vouches for the server: add sslrootcert=FILE";
    check(&address, ("sslmode=verify-full", ""), Err(nobody));
    check(
        &address,
        (&by("verify-full", "/nowhere/ca.crt"), ""),
        Err("cannot read /nowhere/ca.crt"),
    );
    check(&address, (&by("verify-full", &ca.replace(".crt", ".key")), ""), Err("none in it"));
}

#[test]
fn real_a_certificate_of_our_own_is_shown_and_what_runs_is_ended_over_tls() {
    let mut server = Protected::start();
    let reached = format!(
        "host={} user=certified sslmode=verify-full sslrootcert={}",
        server.addresses[0],
        server.path("ca.crt")
    );
    let refused = server.ask(&reached, "");
    assert!(refused.evidence.contains("certificate"), "{refused:?}");
    let (certificate, key) = (server.path("role.crt"), server.path("role.key"));
    let bound = format!(", certificate_file: {certificate}, key_file: {key}");
    assert_eq!(server.ask(&reached, &bound).answer, Answer::Yes);
    let named = format!("{reached} sslcert={certificate} sslkey={key}");
    assert_eq!(server.ask(&named, "").answer, Answer::Yes);
    let stop = Stop::new();
    let stopped = std::thread::scope(|scope| {
        let (bench, stop) = (&server.bench, &stop);
        let sleep = || bench.carry_out(Bench::sql("SELECT pg_sleep(50)"), &[], stop);
        let sleeping = scope.spawn(sleep);
        let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        let is_asleep = || bench.cluster.psql(asleep).unwrap() == "1";
        soter_postgres::testing::wait_until("it sleeps", is_asleep).unwrap();
        stop.stop();
        sleeping.join().unwrap()
    });
    assert!(matches!(&stopped, Outcome::Failed(why) if why.contains("canceling")), "{stopped:?}");
}

use std::sync::Arc;

use soter_postgres::testing::TestCluster;
use soter_runbook::driver::Asked;
use soter_runbook::procedure::Probe;
use soter_world::Secret;
use soter_world::sim::{SeededRandom, seeds};

use super::*;
use crate::testing::{self, Desk};

fn rows(columns: &[&str], values: &[&[Option<&str>]]) -> Rows {
    let row = |values: &&[Option<&str>]| values.iter().map(|v| v.map(str::to_owned)).collect();
    Rows {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        rows: values.iter().map(row).collect(),
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
    let config = bench.desk.stores().connection("orders", &bench.desk.place()).unwrap();
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
            let query =
                Query { config: config.sql_config(), text: text.clone(), is_question: true };
            let found = ask::put(query, Some(LONG), &Stop::new(), &SystemClock)
                .unwrap_or_else(|error| panic!("seed {seed}: {text}: {error:?}"));
            let last = found.rows[0].last().unwrap().as_deref();
            assert_eq!(last, Some(value.as_str()), "seed {seed}: {text}");
        }
    }
}

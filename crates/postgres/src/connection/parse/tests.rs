//! Connection strings as people write them, and what is made of them.

use super::*;
use proptest::prelude::*;

/// The parts of a connection string in one line.
fn check(text: &str, expected: &str) {
    let shown = match ConnectionInfo::parse(text) {
        Ok(info) => format!(
            "{:?} {} {} {:?} {} {} {}s",
            info.host,
            info.port,
            info.user,
            info.password.as_ref().map(|password| password.expose().clone()),
            info.database,
            info.application_name,
            info.connect_timeout.as_secs(),
        ),
        Err(error) => format!("{error}"),
    };
    assert_eq!(shown, expected, "{text}");
}

#[test]
fn pairs() {
    check("user=soter", "Directory(\"/var/run/postgresql\") 5432 soter None postgres soter 10s");
    check(
        " host = db.example  port=5433 user='so ter' password='it\\'s \\\\' dbname=x \
         application_name=standby1 connect_timeout=1 ",
        "Name(\"db.example\") 5433 so ter Some(\"it's \\\\\") x standby1 2s",
    );
    check(
        "user=a\\ b password=''",
        "Directory(\"/var/run/postgresql\") 5432 a b None postgres soter 10s",
    );
    check("host=/tmp host=::1 user=a", "Name(\"::1\") 5432 a None postgres soter 10s");
}

#[test]
fn urls() {
    check(
        "postgres://soter@",
        "Directory(\"/var/run/postgresql\") 5432 soter None postgres soter 10s",
    );
    check(
        "postgresql://so%20ter:p%40:%2F@[fe80::1]:5433/app?application_name=a%26b&sslmode=prefer",
        "Name(\"fe80::1\") 5433 so ter Some(\"p@:/\") app a&b 10s",
    );
    check(
        "postgres://%2Ftmp:6000/?user=a&host=",
        "Directory(\"/tmp\") 6000 a None postgres soter 10s",
    );
    check("postgres:///app?host=/tmp&user=a", "Directory(\"/tmp\") 5432 a None app soter 10s");
}

#[test]
fn mistakes_are_named_without_repeating_values() {
    check("", "the connection string names no user");
    check("secret", "the connection string breaks off or lacks a '=' after \"\"");
    check("user=a secret", "the connection string breaks off or lacks a '=' after \"user\"");
    check("user='secret", "the connection string breaks off or lacks a '=' after \"user\"");
    check("user=a service=b", "the connection parameter \"service\" is not supported");
    check("host=a,b user=c", "the connection string names several hosts");
    check("postgres://u@a:1,b:2/", "the connection string names several hosts");
    check("user=a port=0", "the connection parameter \"port\" must be a number up to 65535");
    check("postgres://u@h:1:2/", "the host of the connection URL is malformed");
    check("postgres://u@[::1/", "the host of the connection URL is malformed");
    check("postgres://u:%2@h/", "the password of the connection URL is malformed");
    check("postgres://u:%ff@h/", "the password of the connection URL is malformed");
    check("postgres://u@h/?x", "the query of the connection URL is malformed");
    check(
        "user=a connect_timeout=0",
        "the connection parameter \"connect_timeout\" must be a number of seconds from 1 to 3600",
    );
    check(
        "user=a application_name=ä",
        "the connection parameter \"application_name\" must be at most 63 printable ASCII characters",
    );
}

#[test]
fn tls_is_refused_rather_than_left_out() {
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = ConnectionInfo::parse(&format!("user=a sslmode={mode}")).unwrap_err();
        assert_eq!(error, ConnectionStringError::Tls { mode });
        assert!(error.hint().contains("Unix socket"), "{}", error.hint());
    }
    for mode in ["disable", "allow", "prefer"] {
        ConnectionInfo::parse(&format!("user=a sslmode={mode}")).unwrap();
    }
}

#[test]
fn a_session_has_the_tls_that_is_demanded() {
    let tls = |text: &str| {
        ConnectionInfo::parse_for_session(&format!("user=a {text}")).map(|info| info.tls)
    };
    let check = |text: &str, demand: Demand, authorities: Option<Authorities>| {
        let found = tls(text).unwrap();
        assert_eq!((found.demand, found.authorities), (demand, authorities), "{text}");
    };
    let file = || Some(Authorities::File("/ca.crt".into()));
    check("", Demand::Nothing, None);
    check("sslmode=prefer", Demand::Nothing, None);
    check("sslmode=require", Demand::Secrecy, None);
    check("sslmode=require sslrootcert=/ca.crt", Demand::KnownAuthority, file());
    check("sslmode=verify-ca sslrootcert=/ca.crt", Demand::KnownAuthority, file());
    check("sslmode=verify-full sslrootcert=system", Demand::KnownServer, Some(Authorities::System));
    let own = tls("sslmode=verify-full sslcert=/a.crt sslkey=/a.key").unwrap().own;
    assert_eq!(own, Some(("/a.crt".into(), "/a.key".into())));
    let fails = |text: &str, words: &str| {
        let error = tls(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    fails("sslmode=verify", "or verify-full");
    fails("sslrootcert=ca.crt", "an absolute path");
    fails("sslcert=/a.crt", "\"sslkey\" must be given where");
    fails("sslkey=/a.key", "\"sslcert\" must be given where");
}

#[test]
fn a_password_is_never_shown() {
    let info = ConnectionInfo::parse("postgres://soter:hunter2@db.example").unwrap();
    let shown = format!("{info} {info:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.starts_with("soter on db.example port 5432 "), "{shown}");
}

proptest! {
    #[test]
    fn any_value_survives_quoting(user in "[^\0]{1,12}", password in "[^\0]{1,12}") {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        let text = format!("user='{}' password = '{}'", quoted(&user), quoted(&password));
        let info = ConnectionInfo::parse(&text).unwrap();
        prop_assert_eq!(&info.user, &user);
        let percent = |value: &str| -> String {
            value.bytes().map(|byte| format!("%{byte:02x}")).collect()
        };
        let url = format!("postgres://{}:{}@host", percent(&user), percent(&password));
        let from_url = ConnectionInfo::parse(&url).unwrap();
        prop_assert_eq!(&from_url.user, &user);
        for info in [info, from_url] {
            let found = info.password.unwrap();
            prop_assert_eq!(found.expose(), &password);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}", scheme in "(postgres://)?") {
        drop(ConnectionInfo::parse(&format!("{scheme}{text}")));
    }
}

//! Prometheus outside: it looks at the services every second, and at etcd.

use serde_json::{Value, json};

use super::ANSWER_TIMEOUT;
use crate::failure::{Failure, failed};
use crate::http;
use crate::lab::Lab;
use crate::place::NODES;
use crate::processes::Spec;
use crate::tls;

/// Starts it.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    let home = lab.directory("outside/prometheus")?;
    let port = lab.port("prometheus")?;
    let target = |name: &str| lab.port(name).map(|port| format!("127.0.0.1:{port}"));
    let mut jobs = vec![json!({"job_name": "services",
        "static_configs": [{"targets": [target("zeus")?, target("gateway")?]}]})];
    if !lab.is_without("etcd") {
        let members: Result<Vec<String>, Failure> =
            NODES.into_iter().map(|node| target(&format!("etcd-client-{node}"))).collect();
        let pki = lab.root().join(tls::AUTHORITY);
        jobs.push(json!({"job_name": "etcd", "scheme": "https", "scrape_interval": "5s",
            "tls_config": {"ca_file": pki.join("ca.crt"), "cert_file": pki.join("admin.crt"),
                "key_file": pki.join("admin.key")},
            "static_configs": [{"targets": members?}]}));
    }
    // JSON is YAML.
    let configuration = json!({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": jobs});
    let file = lab.file("outside/prometheus/prometheus.yml", &configuration.to_string())?;
    lab.describe(|description| {
        let address = format!("http://127.0.0.1:{port}");
        description.addresses.insert("prometheus".to_owned(), address);
    })?;
    let spec = Spec::new("prometheus", "outside", &lab.program("prometheus")?, home.clone())
        .args([format!("--config.file={}", file.display())])
        .args([format!("--storage.tsdb.path={}", home.join("data").display())])
        .args([format!("--web.listen-address=127.0.0.1:{port}")]);
    lab.start(&spec)?;
    lab.wait_ready("prometheus", || look(lab).map(drop))
        .map_err(|failure| failure.during("start Prometheus"))
}

/// How many of its targets answer it.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let port = lab.port("prometheus").map_err(|failure| failure.to_string())?;
    match http::ask(port, "GET", "/-/ready", "", ANSWER_TIMEOUT) {
        Ok((200, _)) => {}
        Ok((status, _)) => return Err(format!("Prometheus says {status}")),
        Err(error) => return Err(error.to_string()),
    }
    let asked = http::ask(port, "GET", "/api/v1/query?query=sum(up)", "", ANSWER_TIMEOUT);
    let (_, answer) = asked.map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_str(&answer)
        .map_err(failed("understand Prometheus"))
        .map_err(|failure| failure.to_string())?;
    let up = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0");
    Ok(format!("{up} targets answer"))
}

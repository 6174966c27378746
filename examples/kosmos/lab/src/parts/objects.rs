//! SeaweedFS as S3, outside: the buckets that copies go to.

use soter_world::exec::Command;

use super::ANSWER_TIMEOUT;
use crate::failure::{Failure, failed};
use crate::http;
use crate::lab::Lab;
use crate::place::secret;
use crate::processes::Spec;

/// Its ports. Each is given: those it would choose lie 10000 above the others, beyond the last one.
pub(super) const PORTS: [&str; 8] = [
    "s3",
    "s3-grpc",
    "s3-master",
    "s3-master-grpc",
    "s3-volume",
    "s3-volume-grpc",
    "s3-filer",
    "s3-filer-grpc",
];

/// The buckets, as in the plan of KOSMOS.
const BUCKETS: [&str; 3] = ["kosmos-vault-dublin", "kosmos-vault-london", "kosmos"];

/// Starts it and makes the buckets.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    let home = lab.directory("outside/objects")?;
    let (access, key) = (secret::<8>(), secret::<16>());
    let identities = serde_json::json!({"identities": [{"name": "kosmos",
        "credentials": [{"accessKey": access, "secretKey": key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]});
    let identities = lab.file("outside/objects/s3.json", &identities.to_string())?;
    let data = lab.directory("outside/objects/data")?;
    let port = lab.port("s3")?;
    let url = format!("http://127.0.0.1:{port}");
    lab.describe(|description| {
        description.addresses.insert("s3".to_owned(), url.clone());
        description.secrets.insert("s3-access-key".to_owned(), access.clone());
        description.secrets.insert("s3-secret-key".to_owned(), key.clone());
    })?;
    let flag = |name: &str, port: &str| lab.port(port).map(|port| format!("-{name}={port}"));
    let spec = Spec::new("objects", "outside", &lab.program("weed")?, home)
        .args(["-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
        .args([format!("-dir={}", data.display()), format!("-s3.config={}", identities.display())])
        .args([flag("master.port", "s3-master")?, flag("master.port.grpc", "s3-master-grpc")?])
        .args([flag("volume.port", "s3-volume")?, flag("volume.port.grpc", "s3-volume-grpc")?])
        .args([flag("filer.port", "s3-filer")?, flag("filer.port.grpc", "s3-filer-grpc")?])
        .args([flag("s3.port", "s3")?, flag("s3.port.grpc", "s3-grpc")?])
        .args(["-volume.max=64", "-master.volumeSizeLimitMB=256", "-filer=true", "-s3=true"])
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-metricsPort=0"]);
    lab.start(&spec)?;
    lab.wait_ready("objects", || look(lab).map(drop))?;
    for bucket in BUCKETS {
        lab.wait_ready("objects", || make_bucket(lab, &format!("{url}/{bucket}")))?;
    }
    Ok(())
}

/// Whether it answers.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let port = lab.port("s3").map_err(|failure| failure.to_string())?;
    match http::ask(port, "GET", "/healthz", "", ANSWER_TIMEOUT) {
        Ok((200, _)) => Ok(format!("S3 with the buckets {}", BUCKETS.join(", "))),
        Ok((status, _)) => Err(format!("S3 says {status}")),
        Err(error) => Err(error.to_string()),
    }
}

/// A bucket that is there already is as good.
fn make_bucket(lab: &Lab, url: &str) -> Result<(), String> {
    let words = |failure: Failure| failure.to_string();
    let user = format!(
        "{}:{}",
        lab.secret("s3-access-key").map_err(words)?,
        lab.secret("s3-secret-key").map_err(words)?
    );
    let curl = Command::new(lab.program("curl").map_err(words)?)
        .args(["--silent", "--show-error", "--noproxy", "*", "--request", "PUT"])
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user])
        .args(["--output", "/dev/null", "--write-out", "%{http_code}", url]);
    let asked = curl.run(ANSWER_TIMEOUT).and_then(soter_world::exec::Finished::checked);
    let asked = asked.map_err(failed("make a bucket")).map_err(words)?;
    match String::from_utf8_lossy(&asked.stdout).as_ref() {
        "200" | "409" => Ok(()),
        other => Err(format!("{url} answers {other}")),
    }
}

//! Certificates: an authority of the laboratory's own, and what it signs, by `openssl`.
//!
//! And requests over HTTPS by `curl`, so that the laboratory needs no TLS of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_world::exec::{Command, Input, Status};

use crate::failure::Failure;
use crate::lab::Lab;

/// Where the authority is: with the person who recovers.
pub(crate) const AUTHORITY: &str = "laptop/pki";

/// The certificate of whoever may do everything, beside the authority.
pub(crate) const ADMIN: &str = "admin";

/// What a body is, unless it is something special.
pub(crate) const JSON: &str = "application/json";

/// What a request may take: an API server on a busy machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Every certificate here is for both ends of a connection on loopback.
const CONFIGURATION: &str = "[req]
distinguished_name = name
prompt = no
[name]
CN = replaced by -subj
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc
authorityKeyIdentifier = keyid
";

/// Makes the authority, and the certificate of the administrator.
pub(crate) fn make_authority(lab: &Lab) -> Result<(), Failure> {
    let home = lab.directory(AUTHORITY)?;
    lab.file(&format!("{AUTHORITY}/openssl.cnf"), CONFIGURATION)?;
    let command = new_key(lab, &home.join("ca"), "/CN=kosmos-lab")?;
    lab.run("make a certificate authority", command.args(["-extensions", "authority"]))?;
    issue(lab, &home, ADMIN, "/O=system:masters/CN=admin")
}

/// Makes `NAME.crt` and `NAME.key` in a directory, with the authority's certificate beside them.
pub(crate) fn issue(lab: &Lab, directory: &Path, name: &str, subject: &str) -> Result<(), Failure> {
    let authority = lab.root().join(AUTHORITY);
    let command = new_key(lab, &directory.join(name), subject)?
        .args(["-extensions", "leaf", "-CA"])
        .arg(authority.join("ca.crt"))
        .arg("-CAkey")
        .arg(authority.join("ca.key"));
    lab.run(&format!("make a certificate for {name}"), command)?;
    if directory != authority {
        std::fs::copy(authority.join("ca.crt"), directory.join("ca.crt"))
            .map_err(crate::failure::failed("copy the authority's certificate"))?;
    }
    Ok(())
}

fn new_key(lab: &Lab, stem: &Path, subject: &str) -> Result<Command, Failure> {
    let with = |extension: &str| stem.with_extension(extension);
    Ok(Command::new(lab.program("openssl")?)
        .args(["req", "-x509", "-new", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", subject])
        .arg("-config")
        .arg(lab.root().join(AUTHORITY).join("openssl.cnf"))
        .arg("-keyout")
        .arg(with("key"))
        .arg("-out")
        .arg(with("crt")))
}

/// A request as the administrator. Status and body.
pub(crate) fn ask(
    lab: &Lab,
    method: &str,
    url: &str,
    body: Option<(&str, &str)>,
) -> Result<(u16, String), String> {
    let authority: PathBuf = lab.root().join(AUTHORITY);
    let curl = lab.program("curl").map_err(|failure| failure.to_string())?;
    let mut command = Command::new(curl)
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "8"])
        .args(["--request", method, "--write-out", "\n%{http_code}", "--cacert"])
        .arg(authority.join("ca.crt"))
        .arg("--cert")
        .arg(authority.join(format!("{ADMIN}.crt")))
        .arg("--key")
        .arg(authority.join(format!("{ADMIN}.key")))
        .arg(url)
        .env_remove("CURL_CA_BUNDLE")
        .env_remove("SSL_CERT_FILE");
    if let Some((kind, body)) = body {
        command = command
            .args(["--header", &format!("Content-Type: {kind}"), "--data-binary", "@-"])
            .stdin(Input::Bytes(body.as_bytes().to_vec()));
    }
    let finished = command.run(REQUEST_TIMEOUT).map_err(|error| error.to_string())?;
    if finished.status != Status::Exited(0) {
        return Err(String::from_utf8_lossy(&finished.stderr).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&finished.stdout).into_owned();
    let parts = said.rsplit_once('\n');
    let (body, status) = parts.ok_or_else(|| format!("{url} answers oddly: {said}"))?;
    let status = status.parse().map_err(|_| format!("{url} answers oddly: {status}"))?;
    Ok((status, body.to_owned()))
}

/// A request that must be answered with 200: the body.
pub(crate) fn get(lab: &Lab, url: &str) -> Result<String, String> {
    match ask(lab, "GET", url, None)? {
        (200, body) => Ok(body),
        (status, body) => Err(format!("{status}: {}", body.trim())),
    }
}

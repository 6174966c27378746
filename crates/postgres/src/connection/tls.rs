//! TLS on the way to a server: what a connection string demands, and the connector that keeps to it.
//!
//! The rule it keeps: what was demanded holds, or there is no connection. There is one provider,
//! aws-lc-rs. Nothing of the keys is kept: files are read when a connection is opened.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use soter_world::{Disk, durable};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::tls::TlsConnect;

use super::bounded::Bounded;

/// How much of TLS is demanded, in libpq's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Demand {
    /// `disable`, `allow` and `prefer`: the connection is plain.
    #[default]
    Nothing,
    /// `require`: nobody on the way reads it, and whoever answers is believed.
    Secrecy,
    /// `verify-ca`, and `require` with a `sslrootcert`: somebody known vouches for the server.
    KnownAuthority,
    /// `verify-full`: they vouch for it under the name that it was asked by.
    KnownServer,
}

/// Who vouches for servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorities {
    /// The certificates in a file, in PEM.
    File(PathBuf),
    /// Those that this machine believes.
    System,
}

/// What a connection string says about TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// How much is demanded: `sslmode`.
    pub demand: Demand,
    /// Who vouches: `sslrootcert`.
    pub authorities: Option<Authorities>,
    /// The files of our own certificate and its key: `sslcert` and `sslkey`.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// What is in the way of TLS as it was demanded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Nobody was named; add `sslrootcert`.
    #[error(
        "it is not said who vouches for the server: add sslrootcert=FILE, or sslrootcert=system \
         for those that this machine believes"
    )]
    NoAuthorities,
    /// This machine has no list of authorities at the usual places.
    #[error("this machine has no certificates of authorities: name a file with sslrootcert=FILE")]
    NoSystemAuthorities,
    /// A file cannot be read; see that it is there.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{} is not {expected}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// What was put together does not work; see what the library says.
    #[error("TLS cannot be set up")]
    SetUp(#[source] Error),
}

/// Where systems keep the certificates that they believe.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A bundle of a system has about 250 KiB.
const FILE_BYTES_MAX: usize = 16 << 20;

impl Tls {
    /// The connector for a server of this name; none if no TLS is demanded.
    pub(super) fn connector(
        &self,
        name: &str,
        disk: &dyn Disk,
    ) -> Result<Option<Connector>, TlsError> {
        if self.demand == Demand::Nothing {
            return Ok(None);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let judge = Arc::new(self.judge(&provider, disk)?);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::SetUp)?
            .dangerous()
            .with_custom_certificate_verifier(judge);
        let config = match &self.own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(disk, certificate)?;
                let key = private_key(disk, key)?;
                config.with_client_auth_cert(chain, key).map_err(TlsError::SetUp)?
            }
        };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::SetUp(Error::General(format!("`{name}` is no name"))))?;
        Ok(Some(Connector { config: Arc::new(config), name }))
    }

    fn judge(&self, provider: &Arc<CryptoProvider>, disk: &dyn Disk) -> Result<Judge, TlsError> {
        let algorithms = provider.signature_verification_algorithms;
        if self.demand < Demand::KnownAuthority {
            return Ok(Judge { chain: None, asks_name: false, algorithms });
        }
        let path = match self.authorities.as_ref().ok_or(TlsError::NoAuthorities)? {
            Authorities::File(path) => path.clone(),
            Authorities::System => {
                let is_there = |path: &&&str| disk.open(Path::new(path)).is_ok();
                BUNDLES.iter().find(is_there).ok_or(TlsError::NoSystemAuthorities)?.into()
            }
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(disk, &path)? {
            roots.add(certificate).map_err(|error| content(&path, CERTIFICATES, &error))?;
        }
        let chain =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map_err(|error| content(&path, CERTIFICATES, &error))?;
        let asks_name = self.demand == Demand::KnownServer;
        Ok(Judge { chain: Some(chain), asks_name, algorithms })
    }
}

/// What a file of authorities, or of our own certificate, is.
const CERTIFICATES: &str = "a file of certificates in PEM";

/// What a file of our own key is.
const KEY: &str = "a private key in PEM without a password";

fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, TlsError> {
    durable::read(disk, path, FILE_BYTES_MAX)
        .map_err(|source| TlsError::File { path: path.to_owned(), source })
}

fn content(path: &Path, expected: &'static str, why: &dyn fmt::Display) -> TlsError {
    TlsError::Content { path: path.to_owned(), expected, why: why.to_string() }
}

fn certificates(disk: &dyn Disk, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(disk, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(content(path, CERTIFICATES, &"there is none in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(content(path, CERTIFICATES, &error)),
    }
}

fn private_key(disk: &dyn Disk, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(disk, path)?).map_err(|error| content(path, KEY, &error))
}

/// Decides whether a server is the one that was meant.
#[derive(Debug)]
struct Judge {
    /// Who must vouch; none: nobody.
    chain: Option<Arc<WebPkiServerVerifier>>,
    asks_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // The name is looked at last: who comes so far is vouched for.
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
                if !self.asks_name =>
            {
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Makes connections to one server secret, and sees that it is the right one.
#[derive(Clone)]
pub(super) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl<S> TlsConnect<S> for Connector
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Bounded<tokio_rustls::client::TlsStream<S>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Stream>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connector = tokio_rustls::TlsConnector::from(self.config);
        Box::pin(async move { connector.connect(self.name, stream).await.map(Bounded::new) })
    }
}

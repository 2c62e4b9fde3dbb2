//! Whom outgoing calls trust: ring's cryptography, and roots by where the code runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::BoxError;

/// Which certificate authorities are trusted.
#[derive(Debug, Clone)]
pub enum Roots {
    /// Mozilla's list, compiled in. For functions: reading the system's store would dominate their start.
    WebPki,
    /// The system's store (`SSL_CERT_FILE` and `SSL_CERT_DIR` count), and the certificates of a PEM file besides. For
    /// `serve` and `dev`: a self-hosted Sentry may have a company's own authority.
    System { ca_file: Option<PathBuf> },
}

/// Why calls over TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("the certificates in {} cannot be read", path.display())]
    CaFile {
        path: PathBuf,
        #[source]
        source: BoxError,
    },
    #[error("{} holds no certificate: it must be a PEM file with at least one", .0.display())]
    EmptyCaFile(PathBuf),
    #[error("the system has no certificates: install its package of them (ca-certificates), or name a file of them")]
    NoRoots,
    #[error("the TLS client cannot be set up")]
    Tls(#[source] BoxError),
}

pub(super) fn config(roots: &Roots) -> Result<ClientConfig, SetupError> {
    let store = match roots {
        Roots::WebPki => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Roots::System { ca_file } => system(ca_file.as_deref())?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Tls(error.into()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(config)
}

fn system(ca_file: Option<&Path>) -> Result<RootCertStore, SetupError> {
    let mut store = RootCertStore::empty();
    // One unreadable certificate among a hundred must not stop everything; none at all does.
    let found = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(found.certs);
    if let Some(path) = ca_file {
        for certificate in read(path)? {
            store
                .add(certificate)
                .map_err(|error| SetupError::CaFile { path: path.to_owned(), source: error.into() })?;
        }
    }
    if store.is_empty() { Err(SetupError::NoRoots) } else { Ok(store) }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let failed =
        |error: rustls::pki_types::pem::Error| SetupError::CaFile { path: path.to_owned(), source: error.into() };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if certificates.is_empty() { Err(SetupError::EmptyCaFile(path.to_owned())) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("sentry-switchboard-{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("the temporary folder can be written");
        path
    }

    #[test]
    fn the_compiled_in_roots_make_a_config() {
        assert!(config(&Roots::WebPki).is_ok());
    }

    #[test]
    fn a_file_of_authorities_that_is_none_is_refused_by_name() {
        let missing = PathBuf::from("/nowhere/ca.pem");
        let error = config(&Roots::System { ca_file: Some(missing) }).expect_err("no such file");
        assert_eq!(error.to_string(), "the certificates in /nowhere/ca.pem cannot be read");

        let empty = file("empty.pem", "no certificate here\n");
        let error = config(&Roots::System { ca_file: Some(empty.clone()) }).expect_err("empty");
        assert!(error.to_string().contains("holds no certificate"), "{error}");

        let broken = file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(matches!(config(&Roots::System { ca_file: Some(broken.clone()) }), Err(SetupError::CaFile { .. })));
        for path in [empty, broken] {
            std::fs::remove_file(path).expect("it was just written");
        }
    }
}

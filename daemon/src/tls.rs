//! TLS from PEM files: what a server shows, what a client trusts, and errors that name the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate chain and its private key, as PEM files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Leaf certificate first, then intermediates.
    pub certificate: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1 key.
    pub key: PathBuf,
}

/// A server's configuration: TLS 1.2 and 1.3; with `client_ca`, a client certificate is demanded.
///
/// # Errors
/// When a file cannot be read or does not hold what it should, or when key and certificate do not match.
pub fn server(identity: &Identity, client_ca: Option<&Path>) -> Result<Arc<ServerConfig>> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match client_ca {
        Some(file) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(file)?), provider());
            builder.with_client_cert_verifier(verifier.build().with_context(|| named(file))?)
        }
        None => builder.with_no_client_auth(),
    };
    let config = builder
        .with_single_cert(certificates(&identity.certificate)?, key(&identity.key)?)
        .with_context(|| format!("{} and {}", identity.certificate.display(), identity.key.display()))?;
    Ok(Arc::new(config))
}

/// A client's configuration: trusts the authorities of `ca`, shows `identity` where the server asks for one.
///
/// # Errors
/// As [`server`].
pub fn client(ca: &Path, identity: Option<&Identity>) -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca)?);
    let config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(certificates(&identity.certificate)?, key(&identity.key)?)
            .with_context(|| format!("{} and {}", identity.certificate.display(), identity.key.display()))?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).with_context(|| named(file))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let list: Vec<_> = CertificateDer::pem_file_iter(file)
        .with_context(|| named(file))?
        .collect::<Result<_, _>>()
        .with_context(|| named(file))?;
    ensure!(!list.is_empty(), "{} holds no certificate in PEM form", file.display());
    Ok(list)
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).with_context(|| format!("reading the private key {}", file.display()))
}

fn named(file: &Path) -> String {
    format!("reading certificates from {}", file.display())
}

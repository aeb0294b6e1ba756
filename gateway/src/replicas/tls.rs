//! TLS between replicas: both sides show a certificate of the authority that signs for replicas alone. A certificate of a system is none of these.

use std::sync::Arc;

use protocol::replica::SERVER_NAME;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::Authority;

/// Both sides of this replica, with one certificate that lives as long as the process.
pub(super) fn both(authority: &Authority) -> Result<(TlsAcceptor, TlsConnector), String> {
    let said = |error: &dyn std::error::Error| error.to_string();
    let (certificate, key) = authority.issue_replica(SERVER_NAME).map_err(|error| said(&error))?;
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| said(&error))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| said(&error))?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).map_err(|error| said(&error))?;
    let (roots, provider) = (Arc::new(roots), Arc::new(rustls::crypto::ring::default_provider()));
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build().map_err(|error| said(&error))?;
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| said(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], key.clone_key())
        .map_err(|error| said(&error))?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| said(&error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .map_err(|error| said(&error))?;
    Ok((TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client))))
}

//! The TLS configuration from what the caller gave.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::options::{OpenError, Tls};

pub(super) fn config(tls: Tls) -> Result<Arc<ServerConfig>, OpenError> {
    let (certificates, key) = match tls {
        Tls::Config(config) => return Ok(config),
        Tls::Pem { certificates, key } => (certificates, key),
    };
    let unusable = |error: &dyn std::fmt::Display| OpenError::Tls(error.to_string());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates.as_bytes()).collect();
    let chain = chain.map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| unusable(&error))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| unusable(&error))?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

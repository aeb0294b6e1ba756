//! The connections: rustls with ring, and the authorities that are trusted.

use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::StoreError;
use crate::options::Options;

/// Connections to the store of these options.
pub(crate) fn build(options: &Options) -> Result<SharedHttpClient, StoreError> {
    if !options.is_tls() {
        return Ok(Builder::new().build_http());
    }
    let trust = match &options.authority {
        Some(pem) => {
            check_authority(pem)?;
            TrustStore::empty().with_pem_certificate(pem.as_bytes())
        }
        None => {
            check_machine()?;
            TrustStore::default()
        }
    };
    let context = TlsContext::builder().with_trust_store(trust).build();
    let context = context.map_err(|error| StoreError::Configuration(format!("TLS cannot be set up: {error}")))?;
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https())
}

/// The library ends the process on certificates it cannot use, so they are tried here first.
fn check_authority(pem: &str) -> Result<(), StoreError> {
    let bad = |reason: String| {
        StoreError::Configuration(format!(
            "the certificates to trust cannot be used: {reason}; give one or more certificates of authorities in PEM"
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() { Err(bad("there is none in the text".to_owned())) } else { Ok(()) }
}

/// The same for the authorities of this machine: none at all ends the process in a build with assertions.
fn check_machine() -> Result<(), StoreError> {
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if usable > 0 {
        return Ok(());
    }
    Err(StoreError::Configuration(
        "this machine trusts no authority, so no store can prove who it is; install ca-certificates, or give the certificate of the store's authority"
            .to_owned(),
    ))
}

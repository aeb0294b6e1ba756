//! The gateway's own certificate. It can be made again at any time, so damage to it is repaired, not reported.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;

use crate::authority::Authority;
use crate::files;

const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const RENEW_BEFORE_END: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const CERTIFICATE_FILE: &str = "gateway.pem";
const KEY_FILE: &str = "gateway-key.pem";

/// Why there is no server certificate.
#[derive(Debug, thiserror::Error)]
pub enum ServerCertificateError {
    /// A file could not be read or written.
    #[error("the gateway's server certificate could not be kept in {path}: {source}; make the folder writable for this user")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A name cannot stand in a certificate, or the library refused.
    #[error("the gateway's server certificate could not be made for {names}: {source}; check the host names of the gateway")]
    Names {
        /// The names asked for.
        names: String,
        /// Why.
        source: rcgen::Error,
    },
    /// What was just made cannot be read.
    #[error("the gateway's server certificate cannot be used: {0}")]
    Unusable(String),
}

/// The certificate that is shown to systems, and replaced while the gateway runs.
pub(crate) struct ServerCertificate {
    folder: PathBuf,
    names: Vec<String>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl ServerCertificate {
    pub(crate) fn load_or_create(folder: &Path, authority: &Authority, host_names: &[String]) -> Result<Self, ServerCertificateError> {
        let mut names: Vec<String> = host_names.to_vec();
        names.extend(["localhost", "127.0.0.1", "::1"].map(String::from));
        names.sort();
        names.dedup();
        let current = match load(folder, authority, &names) {
            Some(current) => current,
            None => create(folder, authority, &names)?,
        };
        Ok(Self { folder: folder.to_owned(), names, current: RwLock::new(Arc::new(current)) })
    }

    /// When the present one ends, in seconds since 1970.
    pub(crate) fn ends(&self) -> Option<i64> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.end_entity_cert().ok().and_then(end_of)
    }

    /// Makes a new one if the present one ends soon.
    pub(crate) fn renew_in_time(&self, authority: &Authority) -> Result<(), ServerCertificateError> {
        let ends_soon = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            current.end_entity_cert().is_ok_and(|certificate| !lasts(certificate))
        };
        if ends_soon {
            let new = Arc::new(create(&self.folder, authority, &self.names)?);
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
            tracing::info!("server certificate renewed");
        }
        Ok(())
    }
}

/// The folder's, if it is whole, from this authority, for these names, and lasts.
fn load(folder: &Path, authority: &Authority, names: &[String]) -> Option<CertifiedKey> {
    let certificate = files::read(&folder.join(CERTIFICATE_FILE)).ok()??;
    let key = files::read(&folder.join(KEY_FILE)).ok()??;
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
    let usable = is_from(&der, authority) && names_of(&der)? == names.iter().cloned().collect() && lasts(&der);
    if usable { assemble(&certificate, &key, authority).ok() } else { None }
}

fn create(folder: &Path, authority: &Authority, names: &[String]) -> Result<CertifiedKey, ServerCertificateError> {
    let (certificate, key) =
        authority.issue_server(names, LIFETIME).map_err(|source| ServerCertificateError::Names { names: names.join(", "), source })?;
    files::make_folder(folder).map_err(|source| ServerCertificateError::File { path: folder.to_owned(), source })?;
    for (file, text) in [(KEY_FILE, &key), (CERTIFICATE_FILE, &certificate)] {
        let path = folder.join(file);
        files::write_private(&path, text).map_err(|source| ServerCertificateError::File { path, source })?;
    }
    assemble(&certificate, &key, authority)
}

/// Certificate, the authority's behind it (so that a system can compare its fingerprint), and key.
fn assemble(certificate: &str, key: &str, authority: &Authority) -> Result<CertifiedKey, ServerCertificateError> {
    let unusable = |error: String| ServerCertificateError::Unusable(error);
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| unusable(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| unusable(error.to_string()))?;
    let key = any_supported_type(&key).map_err(|error| unusable(error.to_string()))?;
    let certified = CertifiedKey::new(vec![certificate, authority.certificate().clone()], key);
    certified.keys_match().map_err(|error| unusable(error.to_string()))?;
    Ok(certified)
}

fn is_from(certificate: &CertificateDer<'_>, authority: &Authority) -> bool {
    let parsed =
        x509_parser::parse_x509_certificate(certificate).ok().zip(x509_parser::parse_x509_certificate(authority.certificate()).ok());
    parsed.is_some_and(|((_, certificate), (_, authority))| certificate.verify_signature(Some(authority.public_key())).is_ok())
}

fn names_of(certificate: &CertificateDer<'_>) -> Option<BTreeSet<String>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    };
    Some(names.value.general_names.iter().filter_map(text).collect())
}

fn lasts(certificate: &CertificateDer<'_>) -> bool {
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + RENEW_BEFORE_END;
    end_of(certificate).and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end > soon.as_secs())
}

/// When a certificate ends, in seconds since 1970.
pub(crate) fn end_of(certificate: &CertificateDer<'_>) -> Option<i64> {
    x509_parser::parse_x509_certificate(certificate).ok().map(|(_, parsed)| parsed.validity().not_after.timestamp())
}

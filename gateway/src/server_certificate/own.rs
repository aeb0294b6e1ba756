//! A certificate of our own making.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;

use super::{ServerCertificateError, end_of};
use crate::authority::Authority;
use crate::files;

const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const RENEW_BEFORE_END: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const CERTIFICATE_FILE: &str = "gateway.pem";
const KEY_FILE: &str = "gateway-key.pem";

/// The folder's, or a new one that is kept there.
pub(super) fn load_or_create(folder: &Path, authority: &Authority, names: &[String]) -> Result<CertifiedKey, ServerCertificateError> {
    match load(folder, authority, names) {
        Some(current) => Ok(current),
        None => create(folder, authority, names),
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

/// Makes a new one and keeps it.
pub(super) fn create(folder: &Path, authority: &Authority, names: &[String]) -> Result<CertifiedKey, ServerCertificateError> {
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
    let certificate =
        CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| ServerCertificateError::Unusable(error.to_string()))?;
    super::assemble(vec![certificate, authority.certificate().clone()], key.as_bytes()).map_err(ServerCertificateError::Unusable)
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

/// Whether it need not be renewed yet.
pub(super) fn lasts(certificate: &CertificateDer<'_>) -> bool {
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + RENEW_BEFORE_END;
    end_of(certificate).and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end > soon.as_secs())
}

//! The certificate authority of a data folder, the server's certificate, and certificates for clients.
//!
//! Everything is made at the first start and used again at the next; the server's certificate is made anew when it nears its end or
//! lacks a name.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{Timestamp, ToSpan, Zoned};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::private::{self, FileError};
use crate::user::User;

const AUTHORITY_DAYS: i32 = 3650;
const SERVER_DAYS: i32 = 365;
/// A certificate with less than this to go is made anew at a start.
const RENEW_DAYS: i64 = 60;
/// The authority has to outlive what it signs.
const AUTHORITY_RENEW_DAYS: i64 = 500;
const DAY: i64 = 24 * 60 * 60;
const END: &str = "-----END CERTIFICATE-----\n";
/// Names the server has for clients beside it.
const NAMES: [&str; 4] = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];

/// Why certificates could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file holds something else than it should.
    #[error("{} is not usable: {what}; move it away to have it made anew (clients then need the new kubeconfig)", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The library refused.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The library refused.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// Certificate and key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Certificate.
    pub certificate: String,
    /// Private key.
    pub key: String,
}

/// The authority and the server's certificate.
pub struct Pki {
    authority: Pair,
    server: Pair,
}

impl Pki {
    /// Reads the certificates of a folder, and makes what is missing, near its end, or lacks one of `addresses`
    /// (127.0.0.1 is always among them).
    ///
    /// # Errors
    /// [`PkiError`] names the file and what to do.
    pub fn open(folder: &Path, addresses: &[IpAddr]) -> Result<Self, PkiError> {
        Self::open_at(folder, addresses, Timestamp::now())
    }

    fn open_at(folder: &Path, addresses: &[IpAddr], now: Timestamp) -> Result<Self, PkiError> {
        let (authority_file, server_file) = (folder.join("authority.pem"), folder.join("server.pem"));
        let authority = match read_pair(&authority_file)?.filter(|pair| lasts(pair, AUTHORITY_RENEW_DAYS, now)) {
            Some(pair) => pair,
            None => write_pair(&authority_file, new_authority(now)?)?,
        };
        let names = subject_names(addresses)?;
        let kept = read_pair(&server_file)?.filter(|pair| is_good(pair, &authority, &names, now));
        let server = match kept {
            Some(pair) => pair,
            None => write_pair(&server_file, new_server(&authority, names, now)?)?,
        };
        Ok(Self { authority, server })
    }

    /// The authority's certificate, PEM: what clients trust.
    pub fn authority(&self) -> &str {
        &self.authority.certificate
    }

    /// A certificate for a client: the name is the user, the group (`system:masters` is the strongest) its group.
    ///
    /// # Errors
    /// [`PkiError::Make`].
    pub fn client(&self, name: &str, group: Option<&str>) -> Result<Pair, PkiError> {
        let mut params = leaf(name, Timestamp::now(), SERVER_DAYS, ExtendedKeyUsagePurpose::ClientAuth);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        signed(&self.authority, params)
    }

    /// TLS for the listener: the server's certificate, and client certificates of this authority, which a client may do without.
    ///
    /// # Errors
    /// [`PkiError::Tls`].
    pub fn server_config(&self) -> Result<ServerConfig, PkiError> {
        let tls = |error: &dyn std::fmt::Display| PkiError::Tls(error.to_string());
        let provider = Arc::new(default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate_of(&self.authority.certificate).map_err(|e| tls(&e))?).map_err(|e| tls(&e))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = verifier.allow_unauthenticated().build().map_err(|e| tls(&e))?;
        let chain = vec![certificate_of(&self.server.certificate).map_err(|e| tls(&e))?];
        let key = PrivateKeyDer::from_pem_slice(self.server.key.as_bytes()).map_err(|e| tls(&e))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| tls(&e))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|e| tls(&e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The user a client certificate stands for, as Kubernetes reads it: common name and organizations. `None` without a common name.
///
/// The certificate has been verified against the authority when the connection was made.
pub fn user_of(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups: Vec<&str> = subject.iter_organization().filter_map(|group| group.as_str().ok()).collect();
    Some(User::new(name, &groups))
}

fn certificate_of(pem: &str) -> Result<CertificateDer<'static>, rustls::pki_types::pem::Error> {
    CertificateDer::from_pem_slice(pem.as_bytes())
}

fn subject_names(addresses: &[IpAddr]) -> Result<Vec<SanType>, rcgen::Error> {
    let mut names = Vec::new();
    for name in NAMES {
        names.push(SanType::DnsName(name.try_into()?));
    }
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let others = addresses.iter().copied().filter(|address| *address != loopback && !address.is_unspecified());
    names.extend(std::iter::once(loopback).chain(others).map(SanType::IpAddress));
    Ok(names)
}

fn new_authority(now: Timestamp) -> Result<Pair, PkiError> {
    let mut params = lasting(now, AUTHORITY_DAYS);
    params.distinguished_name.push(DnType::CommonName, "embedded-kubernetes-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    Ok(Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

fn new_server(authority: &Pair, names: Vec<SanType>, now: Timestamp) -> Result<Pair, PkiError> {
    let mut params = leaf("kube-apiserver", now, SERVER_DAYS, ExtendedKeyUsagePurpose::ServerAuth);
    params.subject_alt_names = names;
    signed(authority, params)
}

fn leaf(name: &str, now: Timestamp, days: i32, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = lasting(now, days);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params
}

/// Valid from the day before, for clocks that are behind.
fn lasting(now: Timestamp, days: i32) -> CertificateParams {
    let day = now.to_zoned(jiff::tz::TimeZone::UTC);
    let date = |zoned: Zoned| rcgen::date_time_ymd(i32::from(zoned.year()), zoned.month().unsigned_abs(), zoned.day().unsigned_abs());
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = date(day.saturating_sub(1.day()));
    params.not_after = date(day.saturating_add(days.days()));
    params.serial_number = Some(SerialNumber::from_slice(uuid::Uuid::new_v4().as_bytes()));
    params
}

fn signed(authority: &Pair, params: CertificateParams) -> Result<Pair, PkiError> {
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let key = KeyPair::generate()?;
    Ok(Pair { certificate: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem() })
}

/// Certificate and key stand in one file, so that they are never replaced one without the other.
fn read_pair(path: &Path) -> Result<Option<Pair>, PkiError> {
    let Some(text) = private::read(path)? else { return Ok(None) };
    parse_pair(&text).map(Some).map_err(|what| PkiError::Malformed { path: path.to_owned(), what })
}

fn parse_pair(text: &str) -> Result<Pair, String> {
    let end = text.find(END).ok_or("it holds no certificate")? + END.len();
    let (certificate, key) = text.split_at(end);
    let der = certificate_of(certificate).map_err(|error| error.to_string())?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
    let pair = KeyPair::from_pem(key).map_err(|error| format!("its private key cannot be read: {error}"))?;
    if parsed.public_key().subject_public_key.data.as_ref() != pair.public_key_raw() {
        return Err("its certificate and its private key do not belong together".to_owned());
    }
    Ok(Pair { certificate: certificate.to_owned(), key: key.to_owned() })
}

fn write_pair(path: &Path, pair: Pair) -> Result<Pair, PkiError> {
    private::write(path, (pair.certificate.clone() + &pair.key).as_bytes())?;
    Ok(pair)
}

fn lasts(pair: &Pair, days: i64, now: Timestamp) -> bool {
    let Ok(der) = certificate_of(&pair.certificate) else { return false };
    X509Certificate::from_der(&der).is_ok_and(|(_, parsed)| parsed.validity().not_after.timestamp() - now.as_second() > days * DAY)
}

/// Whether a server certificate is of this authority, lasts, and has all names.
fn is_good(pair: &Pair, authority: &Pair, names: &[SanType], now: Timestamp) -> bool {
    let (Ok(der), Ok(authority)) = (certificate_of(&pair.certificate), certificate_of(&authority.certificate)) else { return false };
    let (Ok((_, parsed)), Ok((_, authority))) = (X509Certificate::from_der(&der), X509Certificate::from_der(&authority)) else {
        return false;
    };
    lasts(pair, RENEW_DAYS, now) && is_signed_by(&parsed, &authority) && names.iter().all(|name| has_name(&parsed, name))
}

fn is_signed_by(certificate: &X509Certificate<'_>, authority: &X509Certificate<'_>) -> bool {
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &authority.public_key().subject_public_key.data);
    key.verify(certificate.tbs_certificate.as_ref(), &certificate.signature_value.data).is_ok()
}

fn has_name(certificate: &X509Certificate<'_>, wanted: &SanType) -> bool {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|name| match (name, wanted) {
        (GeneralName::DNSName(name), SanType::DnsName(wanted)) => *name == wanted.as_str(),
        (GeneralName::IPAddress(bytes), SanType::IpAddress(IpAddr::V4(wanted))) => *bytes == wanted.octets(),
        (GeneralName::IPAddress(bytes), SanType::IpAddress(IpAddr::V6(wanted))) => *bytes == wanted.octets(),
        _ => false,
    })
}

#[cfg(test)]
mod tests;

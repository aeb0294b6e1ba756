//! COM's own certificate authority: it signs what systems connect with, and the gateway's server certificate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use model::secret::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, SubjectPublicKeyInfo, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;

use crate::files;
use crate::identity::Identity;

/// Life of the authority: systems hold its certificate, so it outlives them.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);
/// Certificates are valid from a little before they are made, because the clocks of telephone systems are not exact.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

const CERTIFICATE_FILE: &str = "authority.pem";
const KEY_FILE: &str = "authority-key.pem";

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be read or written.
    #[error(
        "the gateway's certificate authority could not be kept in {path}: {source}; make the folder writable for this user, or name another"
    )]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error(
        "{what} is damaged: {cause}; put it back from a backup, or delete certificate and key of the authority: then every system must enrol again"
    )]
    Damaged {
        /// File or Secret.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The certificate is there, its key is not.
    #[error(
        "{certificate} is there but its key {key} is not; put the key back from a backup, or delete the certificate too: then every system must enrol again"
    )]
    KeyMissing {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// The library refused.
    #[error("the certificate authority could not make a key or certificate: {0}")]
    Cryptography(#[from] rcgen::Error),
}

/// Why a certificate request gets no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// Not a certificate request that can be used.
    #[error(
        "the certificate request cannot be used: {0}; send PKCS #10 in PEM, signed by an ECDSA P-256 or P-384, Ed25519 or RSA key of 2048 to 4096 bits"
    )]
    Request(&'static str),
    /// The library refused.
    #[error("the certificate could not be signed: {0}")]
    Cryptography(#[from] rcgen::Error),
}

/// A certificate for a system.
pub(crate) struct Issued {
    pub(crate) certificate_pem: String,
    pub(crate) renew_after: Timestamp,
    pub(crate) expires: Timestamp,
}

/// COM's certificate authority.
pub struct Authority {
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new one.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn create() -> Result<Self, AuthorityError> {
        Self::certify(KeyPair::generate()?)
    }

    /// Takes certificate and key from elsewhere, for example from a Secret.
    ///
    /// # Errors
    /// They are not PEM of a certificate and its key.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, AuthorityError> {
        Self::read(certificate, key, "the authority's certificate", "the authority's key")
    }

    /// The folder's, if it has one.
    ///
    /// # Errors
    /// The folder cannot be read, or what it holds is damaged.
    pub fn load(folder: &Path) -> Result<Option<Self>, AuthorityError> {
        let at = |path: PathBuf| move |source| AuthorityError::File { path, source };
        let key = files::read(&folder.join(KEY_FILE)).map_err(at(folder.join(KEY_FILE)))?;
        let certificate = files::read(&folder.join(CERTIFICATE_FILE)).map_err(at(folder.join(CERTIFICATE_FILE)))?;
        if key.is_none() && certificate.is_none() { Ok(None) } else { Self::load_or_create(folder).map(Some) }
    }

    /// Takes the folder's, or makes one and keeps it there, with mode 0600.
    ///
    /// # Errors
    /// The folder cannot be used, or what it holds is damaged.
    pub fn load_or_create(folder: &Path) -> Result<Self, AuthorityError> {
        let (certificate_path, key_path) = (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE));
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| AuthorityError::File { path, source }
        };
        files::make_folder(folder).map_err(at(folder))?;
        let certificate = files::read(&certificate_path).map_err(at(&certificate_path))?;
        let key = files::read(&key_path).map_err(at(&key_path))?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let (certificate_name, key_name) = (certificate_path.display().to_string(), key_path.display().to_string());
                Self::read(certificate.as_bytes(), key.as_bytes(), &certificate_name, &key_name)
            }
            (Some(_), None) => Err(AuthorityError::KeyMissing { certificate: certificate_path, key: key_path }),
            // A crash came between the two files: nothing was signed yet, and the same key gets its certificate now.
            (None, Some(key)) => {
                let authority = Self::certify(read_key(key.as_bytes(), &key_path.display().to_string())?)?;
                files::write_private(&certificate_path, &authority.certificate_pem).map_err(at(&certificate_path))?;
                Ok(authority)
            }
            (None, None) => {
                let authority = Self::create()?;
                files::write_private(&key_path, authority.key_pem().expose()).map_err(at(&key_path))?;
                files::write_private(&certificate_path, &authority.certificate_pem).map_err(at(&certificate_path))?;
                Ok(authority)
            }
        }
    }

    /// The certificate in PEM, which systems trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key in PEM, to be kept in a Secret.
    pub fn key_pem(&self) -> Secret {
        Secret::new(self.issuer.key().serialize_pem())
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    fn certify(key: KeyPair) -> Result<Self, AuthorityError> {
        let (not_before, not_after) = validity(AUTHORITY_LIFETIME);
        let mut params = CertificateParams::default();
        params.distinguished_name = name("Switchboard authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (date_time_ymd(1970, 1, 1) + not_before, date_time_ymd(1970, 1, 1) + not_after);
        let certificate = params.self_signed(&key)?;
        Ok(Self { certificate_pem: certificate.pem(), certificate: certificate.der().clone(), issuer: Issuer::new(params, key) })
    }

    fn read(certificate: &[u8], key: &[u8], certificate_name: &str, key_name: &str) -> Result<Self, AuthorityError> {
        let damaged = |cause: String| AuthorityError::Damaged { what: certificate_name.to_owned(), cause };
        let key = read_key(key, key_name)?;
        let der = CertificateDer::from_pem_slice(certificate).map_err(|error| damaged(error.to_string()))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| damaged(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(damaged("it is no certificate of an authority".into()));
        }
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(damaged(format!("it does not belong to {key_name}")));
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { certificate_pem: to_pem(&der), certificate: der, issuer })
    }

    /// A client certificate for the key that signed the request. The request's own subject and names are ignored.
    pub(crate) fn issue_client(&self, key: &RequestedKey, identity: &Identity, lifetime: Duration) -> Result<Issued, IssueError> {
        let (not_before, not_after) = validity(lifetime);
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&identity.key.to_string());
        params.subject_alt_names = vec![SanType::URI(identity.uri().try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (date_time_ymd(1970, 1, 1) + not_before, date_time_ymd(1970, 1, 1) + not_after);
        let certificate = params.signed_by(&key.key, &self.issuer)?;
        let renew_after = not_after.saturating_sub(lifetime / 3);
        Ok(Issued { certificate_pem: certificate.pem(), renew_after: timestamp(renew_after), expires: timestamp(not_after) })
    }

    /// A certificate for a replica of COM, for both sides of a connection, with a new key. It lives in the memory of one process only, so it ends with
    /// the authority and needs no renewal. Returns certificate and key in PEM.
    pub(crate) fn issue_replica(&self, server_name: &str) -> Result<(String, String), rcgen::Error> {
        let (not_before, not_after) = validity(AUTHORITY_LIFETIME);
        let mut params = CertificateParams::new(vec![server_name.to_owned()])?;
        params.distinguished_name = name("Switchboard replica");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (date_time_ymd(1970, 1, 1) + not_before, date_time_ymd(1970, 1, 1) + not_after);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// A server certificate, with a new key. Returns certificate and key in PEM.
    pub(crate) fn issue_server(&self, names: &[String], lifetime: Duration) -> Result<(String, String), rcgen::Error> {
        let (not_before, not_after) = validity(lifetime);
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = name("Switchboard gateway");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (date_time_ymd(1970, 1, 1) + not_before, date_time_ymd(1970, 1, 1) + not_after);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// The key of a certificate request whose signature was checked.
pub(crate) struct RequestedKey {
    key: SubjectPublicKeyInfo,
    /// SHA-256 of the key.
    pub(crate) digest: [u8; 32],
}

impl RequestedKey {
    /// Reads a PKCS #10 request in PEM and checks that its sender has the key.
    pub(crate) fn from_request(pem: &str) -> Result<Self, IssueError> {
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| IssueError::Request("it is not PEM"))?;
        let (_, request) = X509CertificationRequest::from_der(&block.contents).map_err(|_| IssueError::Request("it is not PKCS #10"))?;
        let key = &request.certification_request_info.subject_pki;
        match key.parsed() {
            Ok(PublicKey::RSA(rsa)) if !(2048..=4096).contains(&rsa.key_size()) => {
                return Err(IssueError::Request("the RSA key has a wrong size"));
            }
            Ok(PublicKey::RSA(_) | PublicKey::EC(_) | PublicKey::Unknown(_)) => {}
            _ => return Err(IssueError::Request("the kind of key is not taken")),
        }
        request.verify_signature().map_err(|_| IssueError::Request("its signature is wrong"))?;
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, key.raw).as_ref());
        let key = SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| IssueError::Request("the kind of key is not taken"))?;
        Ok(Self { key, digest })
    }
}

fn read_key(pem: &[u8], what: &str) -> Result<KeyPair, AuthorityError> {
    let damaged = |cause: String| AuthorityError::Damaged { what: what.to_owned(), cause };
    let text = std::str::from_utf8(pem).map_err(|error| damaged(error.to_string()))?;
    KeyPair::from_pem(text).map_err(|error| damaged(error.to_string()))
}

fn to_pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Begin and end, as time since 1970.
fn validity(lifetime: Duration) -> (Duration, Duration) {
    let now = Duration::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    (now.saturating_sub(BACKDATED), now + lifetime)
}

fn timestamp(since_epoch: Duration) -> Timestamp {
    i64::try_from(since_epoch.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX)
}

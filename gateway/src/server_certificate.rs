//! The gateway's own certificate: made by itself, and then made again at any time, so damage to it is repaired, not reported; or given in a folder, and
//! read again when it changes there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use crate::authority::Authority;

mod given;
mod own;

/// An own certificate is looked at this often.
const CHECK_OWN: Duration = Duration::from_secs(60 * 60);
/// A given one is compared with its folder this often.
const CHECK_GIVEN: Duration = Duration::from_secs(10);

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
    /// What was given cannot be used.
    #[error(
        "the gateway's certificate in {folder} cannot be used: {cause}; it needs tls.crt and tls.key, which belong together, and ca.crt, which systems are told to trust, all in PEM"
    )]
    Given {
        /// Where.
        folder: PathBuf,
        /// Why not.
        cause: String,
    },
}

/// Where it comes from.
enum Source {
    /// Made here for these names, and kept in this folder.
    Own { folder: PathBuf, names: Vec<String> },
    /// Put into this folder by somebody else.
    Given { folder: PathBuf, files: Mutex<given::Files> },
}

/// The certificate that is shown to systems, and replaced while the gateway runs.
pub(crate) struct ServerCertificate {
    source: Source,
    current: RwLock<Arc<CertifiedKey>>,
    /// What systems are told to trust, in PEM.
    trust: watch::Sender<String>,
    /// The fault that was told last.
    told: Mutex<String>,
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").finish_non_exhaustive()
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
        let current = own::load_or_create(folder, authority, &names)?;
        let source = Source::Own { folder: folder.to_owned(), names };
        Ok(Self::new(source, current, authority.certificate_pem().to_owned()))
    }

    /// From a folder that somebody else keeps.
    pub(crate) fn given(folder: &Path) -> Result<Self, ServerCertificateError> {
        let files = given::read(folder)?;
        let (current, trust) = given::understand(folder, &files)?;
        Ok(Self::new(Source::Given { folder: folder.to_owned(), files: Mutex::new(files) }, current, trust))
    }

    fn new(source: Source, current: CertifiedKey, trust: String) -> Self {
        Self { source, current: RwLock::new(Arc::new(current)), trust: watch::Sender::new(trust), told: Mutex::default() }
    }

    /// When the present one ends, in seconds since 1970.
    pub(crate) fn ends(&self) -> Option<i64> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.end_entity_cert().ok().and_then(end_of)
    }

    /// What systems are told to trust, in PEM, now and when it changes.
    pub(crate) fn trust(&self) -> watch::Receiver<String> {
        self.trust.subscribe()
    }

    /// How often [`ServerCertificate::new_fault`] is to be called.
    pub(crate) fn check_every(&self) -> Duration {
        match self.source {
            Source::Own { .. } => CHECK_OWN,
            Source::Given { .. } => CHECK_GIVEN,
        }
    }

    /// Looks, and returns what is wrong where that is not what was wrong at the last look.
    pub(crate) fn new_fault(&self, authority: &Authority) -> Option<String> {
        let fault = self.look(authority).err().map(|error| error.to_string()).unwrap_or_default();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == fault {
            return None;
        }
        told.clone_from(&fault);
        Some(fault).filter(|fault| !fault.is_empty())
    }

    /// Makes a new one if the present one ends soon, or takes the one that was put in its place. Where that fails the present one stays.
    fn look(&self, authority: &Authority) -> Result<(), ServerCertificateError> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        match &self.source {
            Source::Own { folder, names } => {
                if current.end_entity_cert().is_ok_and(|certificate| !own::lasts(certificate)) {
                    self.set(own::create(folder, authority, names)?);
                    tracing::info!("server certificate renewed");
                }
            }
            Source::Given { folder, files } => {
                let now = given::read(folder)?;
                let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
                if *files == now {
                    return Ok(());
                }
                let (new, trust) = given::understand(folder, &now)?;
                *files = now;
                if new.cert != current.cert {
                    self.set(new);
                    tracing::info!(folder = %folder.display(), "another server certificate was given and is shown from now on");
                }
                self.trust.send_if_modified(|present| {
                    let changed = *present != trust;
                    if changed {
                        *present = trust;
                    }
                    changed
                });
            }
        }
        Ok(())
    }

    fn set(&self, new: CertifiedKey) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }
}

/// When a certificate ends, in seconds since 1970.
pub(crate) fn end_of(certificate: &CertificateDer<'_>) -> Option<i64> {
    x509_parser::parse_x509_certificate(certificate).ok().map(|(_, parsed)| parsed.validity().not_after.timestamp())
}

/// A chain, its own certificate first, and its key.
fn assemble(chain: Vec<CertificateDer<'static>>, key: &[u8]) -> Result<CertifiedKey, String> {
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
    let key = any_supported_type(&key).map_err(|error| error.to_string())?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| error.to_string())?;
    Ok(certified)
}

//! The certificate of a folder (`tls.crt`, `tls.key`), read again when it changes: a mounted Secret is replaced under the program that uses it.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at. A Secret that changed takes a kubelet longer than that to mount.
const INTERVAL: Duration = Duration::from_secs(10);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; put certificate and key into {} as tls.crt and tls.key", path.display(), folder.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Where they should be.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// They are not what they should be, or do not belong together.
    #[error("the certificate in {} cannot be used: {reason}; give a certificate in PEM as tls.crt, with its key as tls.key", folder.display())]
    Unusable {
        /// Where they are.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A certificate that follows its files.
pub struct Certificate {
    folder: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    files: [Vec<u8>; 2],
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads it.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn open(folder: &Path) -> Result<Self, CertificateError> {
        let files = read(folder)?;
        let key = assemble(folder, &files)?;
        Ok(Self { folder: folder.to_owned(), current: RwLock::new(Current { files, key }) })
    }

    /// Takes what is in the files now, if it is something else. What cannot be used leaves the one in use in its place.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn refresh(&self) -> Result<bool, CertificateError> {
        let files = read(&self.folder)?;
        if self.current.read().unwrap_or_else(PoisonError::into_inner).files == files {
            return Ok(false);
        }
        let key = assemble(&self.folder, &files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current { files, key };
        Ok(true)
    }

    /// Looks at the files until the shutdown. What is wrong with them is logged once.
    pub async fn follow(self: Arc<Self>, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut said = String::new();
        while shutdown.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
            match self.refresh() {
                Ok(true) => tracing::info!("the certificate was replaced"),
                Ok(false) => said.clear(),
                Err(error) => {
                    let error = error.to_string();
                    if said != error {
                        tracing::error!(error, "the certificate in use stays");
                        said = error;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).key))
    }
}

fn read(folder: &Path) -> Result<[Vec<u8>; 2], CertificateError> {
    let file = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|source| CertificateError::Read { path, folder: folder.to_owned(), source })
    };
    Ok([file("tls.crt")?, file("tls.key")?])
}

fn assemble(folder: &Path, [certificate, key]: &[Vec<u8>; 2]) -> Result<Arc<CertifiedKey>, CertificateError> {
    let unusable = |reason: String| CertificateError::Unusable { folder: folder.to_owned(), reason };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|error| unusable(format!("tls.crt: {error}")))?;
    if chain.is_empty() {
        return Err(unusable("tls.crt holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(format!("tls.key: {error}")))?;
    let key = any_supported_type(&key).map_err(|error| unusable(format!("tls.key: {error}")))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| unusable("tls.key is not the key of tls.crt".to_owned()))?;
    Ok(Arc::new(certified))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    struct Files(PathBuf);

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn folder() -> Files {
        let path = std::env::temp_dir().join(format!("switchboard-certificate-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).unwrap();
        Files(path)
    }

    /// Writes a new certificate, and returns it.
    fn issue(folder: &Path) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["store".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
        std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
        certificate.der().to_vec()
    }

    fn in_use(certificate: &Certificate) -> Vec<u8> {
        certificate.current.read().unwrap().key.end_entity_cert().unwrap().to_vec()
    }

    #[test]
    fn a_replaced_certificate_is_used_and_one_that_cannot_be_leaves_the_old_one() {
        let files = folder();
        let first = issue(&files.0);
        let certificate = Certificate::open(&files.0).unwrap();
        assert_eq!(in_use(&certificate), first);
        assert!(!certificate.refresh().unwrap());
        let second = issue(&files.0);
        assert!(certificate.refresh().unwrap());
        assert_eq!(in_use(&certificate), second);
        std::fs::write(files.0.join("tls.key"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let error = certificate.refresh().unwrap_err().to_string();
        assert!(error.contains("tls.key is not the key of tls.crt"), "{error}");
        assert_eq!(in_use(&certificate), second);
    }

    #[test]
    fn what_is_missing_is_named() {
        let files = folder();
        let error = Certificate::open(&files.0).unwrap_err().to_string();
        assert!(error.contains("tls.crt") && error.contains("put certificate and key into"), "{error}");
        std::fs::write(files.0.join("tls.crt"), "nothing").unwrap();
        std::fs::write(files.0.join("tls.key"), "nothing").unwrap();
        let error = Certificate::open(&files.0).unwrap_err().to_string();
        assert!(error.contains("tls.crt holds no certificate"), "{error}");
    }
}

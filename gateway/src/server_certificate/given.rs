//! A certificate that somebody else keeps in a folder: a mounted Secret, which cert-manager or a person renews.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;

use super::{ServerCertificateError, assemble};

/// What is in the files, so that they are only understood anew where they changed.
#[derive(PartialEq, Eq)]
pub(super) struct Files {
    trust: Vec<u8>,
    chain: Vec<u8>,
    key: Vec<u8>,
}

fn unusable(folder: &Path, cause: String) -> ServerCertificateError {
    ServerCertificateError::Given { folder: folder.to_owned(), cause }
}

/// Reads the files.
pub(super) fn read(folder: &Path) -> Result<Files, ServerCertificateError> {
    let read = |name: &str| std::fs::read(folder.join(name)).map_err(|error| unusable(folder, format!("{name} cannot be read: {error}")));
    Ok(Files { trust: read("ca.crt")?, chain: read("tls.crt")?, key: read("tls.key")? })
}

/// The chain that is shown, its key, and what systems are told to trust.
pub(super) fn understand(folder: &Path, files: &Files) -> Result<(CertifiedKey, String), ServerCertificateError> {
    let unusable = |cause: String| unusable(folder, cause);
    let certificates = |name: &str, bytes: &[u8]| {
        let all: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(bytes).collect();
        all.map_err(|error| error.to_string())
            .and_then(|all| if all.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(all) })
            .map_err(|cause| unusable(format!("{name}: {cause}")))
    };
    certificates("ca.crt", &files.trust)?;
    let trust = String::from_utf8(files.trust.clone()).map_err(|error| unusable(format!("ca.crt: {error}")))?;
    let chain = certificates("tls.crt", &files.chain)?;
    let certified = assemble(chain, &files.key).map_err(|cause| unusable(format!("tls.key: {cause}")))?;
    Ok((certified, trust))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::path::PathBuf;

    use super::super::ServerCertificate;
    use crate::authority::Authority;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn put(folder: &Folder, authority: &Authority) {
        let (certificate, key) = authority.issue_server(&["gateway.example.com".to_owned()], std::time::Duration::from_secs(3600)).unwrap();
        for (name, text) in [("tls.crt", certificate.as_str()), ("tls.key", &key), ("ca.crt", authority.certificate_pem())] {
            std::fs::write(folder.0.join(name), text).unwrap();
        }
    }

    #[test]
    fn what_is_given_is_shown_and_what_replaces_it_too_unless_it_cannot_be_used() {
        let folder = Folder(std::env::temp_dir().join(format!("switchboard-given-{}", uuid::Uuid::new_v4())));
        std::fs::create_dir(&folder.0).unwrap();
        let missing = ServerCertificate::given(&folder.0).unwrap_err().to_string();
        assert!(missing.contains("ca.crt cannot be read") && missing.contains("it needs tls.crt and tls.key"), "{missing}");
        let (first, second) = (Authority::create().unwrap(), Authority::create().unwrap());
        put(&folder, &first);
        let shown = ServerCertificate::given(&folder.0).unwrap();
        let mut trust = shown.trust();
        assert_eq!(*trust.borrow_and_update(), first.certificate_pem());
        let before = shown.current.read().unwrap().clone();
        // Half of it is new: a key that does not belong to the certificate.
        put(&folder, &second);
        std::fs::write(folder.0.join("tls.crt"), first.certificate_pem()).unwrap();
        assert!(shown.look(&first).unwrap_err().to_string().contains("tls.key"));
        assert!(std::sync::Arc::ptr_eq(&before, &shown.current.read().unwrap()) && !trust.has_changed().unwrap());
        assert!(shown.new_fault(&first).unwrap().contains("tls.key"));
        assert_eq!(shown.new_fault(&first), None, "nothing has changed, and it was said");
        std::fs::remove_file(folder.0.join("ca.crt")).unwrap();
        assert!(shown.new_fault(&first).unwrap().contains("ca.crt"));
        put(&folder, &second);
        shown.look(&first).unwrap();
        assert_ne!(before.cert, shown.current.read().unwrap().cert);
        assert_eq!(*trust.borrow_and_update(), second.certificate_pem());
        // Mended, and broken in the same way again: that is news.
        assert_eq!(shown.new_fault(&first), None);
        std::fs::remove_file(folder.0.join("ca.crt")).unwrap();
        assert!(shown.new_fault(&first).is_some());
    }
}

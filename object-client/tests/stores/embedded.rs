//! The embedded object store, over TLS with an authority of its own.

use std::net::Ipv4Addr;

use object_server::{Credentials, ObjectServer, Options, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::store::{BUCKET, Folder, Store};

struct Running {
    _shutdown: DropGuard,
    _folder: Folder,
}

/// An authority, and a certificate of it for 127.0.0.1 with its key: PEM.
pub fn certificates() -> (String, String, String) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    // Another name than that of its certificates, or OpenSSL takes those for signed by themselves.
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &authority).unwrap();
    (authority.pem(), certificate.pem(), key.serialize_pem())
}

/// Starts it, with the bucket made.
pub async fn start() -> Store {
    let folder = Folder::new();
    let (authority, certificates, key) = certificates();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, &authority).unwrap();
    let mut options = Options::new(folder.path().join("store"));
    options.buckets.push(BUCKET.into());
    options.credentials.push(Credentials { access_key_id: "all".into(), secret_access_key: "secret-of-all".into() });
    options.tls = Some(Tls::Pem { certificates, key });
    let server = ObjectServer::open(options).unwrap().bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let mut options = Store::options(format!("https://{}", server.address()), "all", "secret-of-all");
    options.authority = Some(authority);
    let shutdown = CancellationToken::new();
    tokio::spawn(server.run(shutdown.clone()));
    Store {
        options,
        authority: Some(file),
        lists_digests: true,
        tells_checksums: true,
        _guard: Box::new(Running { _shutdown: shutdown.drop_guard(), _folder: folder }),
    }
}

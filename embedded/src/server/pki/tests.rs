#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Pki, certificate_of, has_name, is_signed_by, subject_names, user_of};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("pki-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn after(days: i64) -> Timestamp {
    Timestamp::now() + (days * 24).hours()
}

fn open(folder: &Path, days: i64) -> Pki {
    Pki::open_at(folder, &[], after(days)).unwrap()
}

#[test]
fn a_second_start_uses_the_certificates_of_the_first() {
    let folder = Folder::new();
    let first = open(&folder.0, 0);
    let second = open(&folder.0, 0);
    assert_eq!((first.authority, first.server), (second.authority, second.server));
    for file in ["authority.pem", "server.pem"] {
        assert_eq!(std::fs::metadata(folder.0.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn the_server_has_the_names_and_addresses_clients_use() {
    let folder = Folder::new();
    let addresses: [IpAddr; 3] = ["127.5.0.9".parse().unwrap(), "::1".parse().unwrap(), "0.0.0.0".parse().unwrap()];
    let pki = Pki::open(&folder.0, &addresses).unwrap();
    let der = certificate_of(&pki.server.certificate).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 7, "four names, 127.0.0.1 and two addresses: {:?}", names.value);
    assert!(subject_names(&addresses[..2]).unwrap().iter().all(|name| has_name(&certificate, name)));
}

#[test]
fn the_server_certificate_is_made_anew_for_a_new_address_only() {
    let folder = Folder::new();
    let first = open(&folder.0, 0);
    let address = ["127.0.0.7".parse().unwrap()];
    let second = Pki::open(&folder.0, &address).unwrap();
    assert_ne!(first.server, second.server);
    assert_eq!(first.authority, second.authority, "clients go on trusting");
    assert_eq!(open(&folder.0, 0).server, second.server, "having more names than needed is no reason");
}

#[test]
fn certificates_are_made_anew_before_they_end() {
    let folder = Folder::new();
    let first = open(&folder.0, 0);
    assert_eq!(open(&folder.0, 300).server, first.server);
    let second = open(&folder.0, 310);
    assert_ne!(second.server, first.server);
    assert_eq!(second.authority, first.authority);
    let third = open(&folder.0, 3200);
    assert_ne!(third.authority, first.authority);
    let der = [&third.server.certificate, &third.authority.certificate].map(|pem| certificate_of(pem).unwrap());
    let [server, authority] = [0, 1].map(|at| X509Certificate::from_der(&der[at]).unwrap().1);
    assert!(is_signed_by(&server, &authority));
}

#[test]
fn a_server_certificate_of_another_authority_is_not_used() {
    let (folder, other) = (Folder::new(), Folder::new());
    let first = open(&folder.0, 0);
    open(&other.0, 0);
    std::fs::copy(other.0.join("server.pem"), folder.0.join("server.pem")).unwrap();
    let second = open(&folder.0, 0);
    assert_eq!(second.authority, first.authority);
    let der = [&second.server.certificate, &second.authority.certificate].map(|pem| certificate_of(pem).unwrap());
    assert!(is_signed_by(&X509Certificate::from_der(&der[0]).unwrap().1, &X509Certificate::from_der(&der[1]).unwrap().1));
}

#[test]
fn a_damaged_file_is_named_and_not_replaced() {
    let folder = Folder::new();
    open(&folder.0, 0);
    let path = folder.0.join("authority.pem");
    let whole = std::fs::read_to_string(&path).unwrap();
    let (other, end) = (Folder::new(), "-----END CERTIFICATE-----\n");
    open(&other.0, 0);
    let stranger = std::fs::read_to_string(other.0.join("authority.pem")).unwrap();
    let mixed = whole.split_inclusive(end).next().unwrap().to_owned() + stranger.split_once(end).unwrap().1;
    for (content, why) in [
        (String::new(), "holds no certificate"),
        ("hello".to_owned(), "holds no certificate"),
        (whole.split_inclusive(end).next().unwrap().to_owned(), "private key cannot be read"),
        (mixed, "do not belong together"),
    ] {
        std::fs::write(&path, &content).unwrap();
        let text = Pki::open(&folder.0, &[]).err().unwrap().to_string();
        assert!(text.contains(&path.display().to_string()) && text.contains(why) && text.contains("move it away"), "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn a_client_certificate_names_user_and_group() {
    let folder = Folder::new();
    let pki = open(&folder.0, 0);
    let pair = pki.client("ann", Some("system:masters")).unwrap();
    let user = user_of(&certificate_of(&pair.certificate).unwrap()).unwrap();
    assert_eq!((user.name.as_str(), user.groups), ("ann", vec!["system:masters".to_owned(), "system:authenticated".to_owned()]));
    let pair = pki.client("bob", None).unwrap();
    assert_eq!(user_of(&certificate_of(&pair.certificate).unwrap()).unwrap().groups, ["system:authenticated"]);
}

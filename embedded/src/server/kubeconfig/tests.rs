#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::os::unix::fs::PermissionsExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{Credentials, Kubeconfig};

const EXAMPLE: Kubeconfig<'_> = Kubeconfig {
    name: "embedded",
    user: "admin",
    server: "https://127.0.0.1:6550",
    authority: "-----BEGIN CERTIFICATE-----\n",
    credentials: Credentials::Token("secret"),
    namespace: "default",
};

#[test]
fn the_usual_client_library_reads_it() {
    let read: kube::config::Kubeconfig = serde_json::from_value(EXAMPLE.to_value()).unwrap();
    assert_eq!(read.current_context.as_deref(), Some("embedded"));
    let cluster = read.clusters[0].cluster.clone().unwrap();
    assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6550"));
    assert_eq!(cluster.certificate_authority_data, Some(STANDARD.encode(EXAMPLE.authority)));
    let context = read.contexts[0].context.clone().unwrap();
    assert_eq!(
        (context.cluster.as_str(), context.user.as_deref(), context.namespace.as_deref()),
        ("embedded", Some("admin"), Some("default"))
    );
    assert!(read.auth_infos[0].auth_info.clone().unwrap().token.is_some());
}

#[test]
fn a_client_certificate_is_embedded() {
    let credentials = Credentials::Certificate { certificate: "C", key: "K" };
    let value = Kubeconfig { credentials, ..EXAMPLE }.to_value();
    assert_eq!(
        value["users"][0]["user"],
        json!({"client-certificate-data": STANDARD.encode("C"), "client-key-data": STANDARD.encode("K")})
    );
}

#[test]
fn the_file_is_for_the_owner_only_and_replaced_as_a_whole() {
    let folder = std::env::temp_dir().join(format!("kubeconfig-{}", uuid::Uuid::new_v4()));
    let path = folder.join("kubeconfig");
    EXAMPLE.write(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let before = std::fs::File::open(&path).unwrap();
    Kubeconfig { server: "https://127.0.0.1:7000", ..EXAMPLE }.write(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let read = kube::config::Kubeconfig::read_from(&path).unwrap();
    assert_eq!(read.clusters[0].cluster.clone().unwrap().server.as_deref(), Some("https://127.0.0.1:7000"));
    assert!(std::io::read_to_string(before).unwrap().contains("6550"), "a reader of the old file still has all of it");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left lying about");
    let text = EXAMPLE.write(&path.join("below")).unwrap_err().to_string();
    assert!(text.contains("cannot write") && text.contains("below"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}

//! Starting, with clear errors, and going down in order.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use gateway::{Gateway, Options};
use protocol::link::SessionState;
use protocol::message::CloseReason;

use crate::client::{HOME, dial};
use crate::directory::TestDirectory;
use crate::world::{Folder, World, key, soon};

fn options(folder: &Folder) -> Options {
    Options::new(SocketAddr::from(([127, 0, 0, 1], 0)), &folder.0)
}

async fn bind(options: Options) -> Result<Gateway, String> {
    Gateway::bind(options, Arc::new(TestDirectory::default())).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn systems_are_told_when_the_gateway_goes_and_are_not_called_offline() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let mut session = world.connected(&credential, 1).await;
    let idle = dial(&world, None, HOME).await.unwrap();
    world.shutdown.cancel();
    assert_eq!(session.closes().await.0, CloseReason::GoingAway);
    assert_eq!(world.link.view(&key("hq")).unwrap().state, SessionState::Connected { sign_in: None });
    drop((session, idle));
    soon(world.running).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(world.address).await.is_err(), "it still listens");
}

#[tokio::test]
async fn going_down_is_bounded_even_if_systems_do_not_hear() {
    let world = World::with(|options| {
        options.times.linger = Duration::from_secs(600);
        options.times.drain = Duration::from_millis(200);
    })
    .await;
    let credential = world.enrolled("hq").await;
    let _deaf = world.connected(&credential, 1).await;
    world.shutdown.cancel();
    soon(world.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_second_start_has_the_same_authority_and_certificate() {
    let folder = Folder::new();
    let first = bind(options(&folder)).await.unwrap().authority_pem();
    let server = std::fs::read(folder.0.join("gateway.pem")).unwrap();
    assert_eq!(bind(options(&folder)).await.unwrap().authority_pem(), first);
    assert_eq!(std::fs::read(folder.0.join("gateway.pem")).unwrap(), server);
    let mut more_names = options(&folder);
    more_names.host_names = vec!["com.example.com".into()];
    bind(more_names).await.unwrap();
    assert_ne!(std::fs::read(folder.0.join("gateway.pem")).unwrap(), server, "a new name needs a new certificate");
    for file in ["authority.pem", "authority-key.pem", "gateway.pem", "gateway-key.pem"] {
        let mode = std::fs::metadata(folder.0.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_busy_port_is_named_with_its_flag() {
    let (folder, other) = (Folder::new(), Folder::new());
    let standing = bind(options(&folder)).await.unwrap();
    let error = bind(Options { address: standing.address(), ..options(&other) }).await.unwrap_err();
    assert!(error.contains(&standing.address().to_string()) && error.contains("--gateway-port"), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("file"), "").unwrap();
    let mut impossible = options(&folder);
    impossible.folder = folder.0.join("file");
    let error = bind(impossible).await.unwrap_err();
    assert!(error.contains(folder.0.join("file").to_str().unwrap()) && error.contains("writable"), "{error}");
}

#[tokio::test]
async fn damage_is_named_with_its_file_and_the_way_out() {
    for (file, text) in [("authority-key.pem", "rubbish"), ("authority.pem", "rubbish"), ("authority.pem", "")] {
        let folder = Folder::new();
        bind(options(&folder)).await.unwrap();
        std::fs::write(folder.0.join(file), text).unwrap();
        let error = bind(options(&folder)).await.unwrap_err();
        assert!(error.contains(file) && error.contains("is damaged") && error.contains("backup"), "{error}");
    }
    // The certificate of another authority does not belong to the key.
    let (folder, other) = (Folder::new(), Folder::new());
    bind(options(&folder)).await.unwrap();
    bind(options(&other)).await.unwrap();
    std::fs::copy(other.0.join("authority.pem"), folder.0.join("authority.pem")).unwrap();
    let error = bind(options(&folder)).await.unwrap_err();
    assert!(error.contains("does not belong to"), "{error}");
}

#[tokio::test]
async fn a_missing_key_is_named_and_a_missing_certificate_is_made_again() {
    let folder = Folder::new();
    bind(options(&folder)).await.unwrap();
    std::fs::remove_file(folder.0.join("authority.pem")).unwrap();
    bind(options(&folder)).await.unwrap();
    std::fs::remove_file(folder.0.join("authority-key.pem")).unwrap();
    let error = bind(options(&folder)).await.unwrap_err();
    assert!(error.contains("authority-key.pem is not"), "{error}");
}

#[tokio::test]
async fn a_damaged_server_certificate_is_made_again() {
    let folder = Folder::new();
    bind(options(&folder)).await.unwrap();
    std::fs::write(folder.0.join("gateway-key.pem"), "rubbish").unwrap();
    bind(options(&folder)).await.unwrap();
    assert!(std::fs::read_to_string(folder.0.join("gateway-key.pem")).unwrap().contains("PRIVATE KEY"));
}

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::causes_check::parse;
use crate::disk::state::State;
use crate::testing::{Folder, files};

const NETWORK: &str = "profile: Server Edition\nservers: [{name: HQ, role: Primary}, {name: primary, role: Expansion}, {name: 'a/../b', role: ApplicationServer}]\n";

fn configuration() -> Configuration {
    State::new("2026-01-01T00:00:00Z".parse().unwrap()).configuration
}

fn made(causes: &str) -> Folder {
    let folder = Folder::new();
    ensure(folder.path(), &parse(causes).unwrap(), &configuration()).unwrap();
    folder
}

#[test]
fn content_follows_from_the_causes_alone_and_is_made_once() {
    let (one, other) = (made(NETWORK), made(NETWORK));
    let content = files(one.path());
    assert_eq!(content, files(other.path()));
    let total: usize = content.values().map(Vec::len).sum();
    assert!((100_000..1_000_000).contains(&total), "{total} bytes");
    for path in [
        "servers/primary/IPOffice/settings.json",
        "servers/%70rimary/IPOffice/users.csv",
        "servers/a%2F..%2Fb/OneXPortal/portal.conf",
        "voicemail/prompts/prompt-001.wav",
        "voicemail/mailboxes/200/message-0001.wav",
    ] {
        assert!(content.contains_key(path), "{path} is not among {:?}", content.keys());
    }
    std::fs::write(one.path().join("voicemail/prompts/prompt-001.wav"), "mine").unwrap();
    ensure(one.path(), &parse(NETWORK).unwrap(), &configuration()).unwrap();
    assert_eq!(files(one.path())["voicemail/prompts/prompt-001.wav"], b"mine");
}

#[test]
fn an_ip500_has_the_configuration_of_ip_office_only() {
    let content = made("{}");
    assert!(files(content.path()).keys().all(|path| path.starts_with("servers/primary/IPOffice/")));
    for role in [ServerRole::ApplicationServer, ServerRole::Ucm] {
        assert!(services(Profile::Ip500V2, role).is_empty());
    }
}

#[test]
fn what_a_crash_left_half_made_is_made_anew_and_a_new_server_gets_its_folder() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().join("making/half")).unwrap();
    ensure(folder.path(), &parse("profile: ACCS").unwrap(), &configuration()).unwrap();
    assert!(!folder.path().join(MAKING).exists());
    let grown = parse("profile: ACCS\nservers: [{name: One, role: Primary}, {name: Two, role: Secondary}]").unwrap();
    ensure(folder.path(), &grown, &configuration()).unwrap();
    assert!(folder.path().join("servers/Two/WebLM/weblm.conf").exists());
}

#[test]
fn settings_say_what_counts_and_are_read_back() {
    let folder = made("{}");
    let mut changed = configuration();
    changed.time_zone = "Asia/Tokyo".into();
    changed.revision = 7;
    ensure(folder.path(), &parse("{}").unwrap(), &changed).unwrap();
    let read = settings::read(&folder.path().join(settings_home())).unwrap();
    assert_eq!(read, settings::Settings::of(&changed));
    assert!(!settings::text(&changed).contains("revision"));
    assert!(settings::Settings::parse(b"{}").is_err());
}

#[test]
fn a_large_system_is_as_large_as_its_causes_say() {
    let folder = made("content: {extensions: 1, fillerMegabytes: 20}");
    let large = files(&folder.path().join("servers/primary/IPOffice/large"));
    assert_eq!(large.values().map(Vec::len).collect::<Vec<_>>(), [16_000_000, 4_000_000]);
}

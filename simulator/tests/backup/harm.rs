//! Archives that are wrong, orders that cannot be, power, network and disk that fail.

use protocol::message::{AnswerResult, Command};
use protocol::transfer::{Output, PackedElement};

use crate::world::*;

#[tokio::test]
async fn damaged_truncated_and_foreign_archives_are_refused_and_nothing_is_touched() {
    let mut world = World::new(NETWORK).await;
    let elements = world.backup("backup", &["Configuration/IPOffice", "Configuration/WebLM"]).await;
    let before = world.content();
    let good = world.store.content.lock().unwrap().objects[&key(0)].clone();
    let mut damaged = good.to_vec();
    damaged[700] ^= 1;
    let mut longer = good.to_vec();
    longer.push(0);
    for (bytes, expected) in [(damaged, "DigestMismatch"), (good[..good.len() - 1].to_vec(), "DigestMismatch"), (longer, "DigestMismatch")]
    {
        world.store.keep("bad", bytes);
        assert_eq!(reason(&world.fetch("restore", &elements[0], "bad").await), expected);
    }
    let foreign = world.store.content.lock().unwrap().objects[&key(1)].clone();
    let cases: [(&str, Vec<u8>); 5] = [
        ("users.csv", foreign.to_vec()),
        ("outside its folder", tar(&[("../outside", b"x")])),
        ("outside its folder", tar(&[("users.csv", b"x"), ("/etc/cron.d/x", b"x")])),
        ("settings.json", tar(&[("users.csv", b"x"), ("settings.json", b"{}")])),
        ("no tar archive", b"nonsense, and of some length".repeat(100)),
    ];
    for (why, bytes) in cases {
        let digest = archive::digest::Sha256::of(&bytes).to_string();
        let element = PackedElement { size: bytes.len() as u64, sha256: digest, ..elements[0].clone() };
        world.store.keep("bad", bytes);
        let refused = world.fetch("restore", &element, "bad").await;
        let AnswerResult::Failed { reason, message } = &refused else { panic!("{refused:?}") };
        assert!(reason == "ArchiveRefused" && message.contains(why), "{refused:?}");
    }
    assert_eq!(std::fs::read_dir(world.site.disk().join("transfer/restore/fetched")).unwrap().count(), 0, "what was refused is removed");
    assert_eq!(reason(&world.ask("restore", apply(&elements[..1])).await), "NotFetched");
    assert_eq!(world.content(), before);
}

/// A tar with names that no honest program writes.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = ::tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(::tar::EntryType::Regular);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn what_may_not_or_cannot_be_is_refused_with_its_reason() {
    let mut world = World::new(NETWORK).await;
    for (selections, part_size, expected) in [
        (&["Configuration/WebCollaboration/HQ"][..], PART, "UnknownElement"),
        (&["Recordings"], PART, "UnknownElement"),
        (&[], PART, "InvalidOrder"),
        (&["Configuration"], 0, "InvalidOrder"),
        (&["SelectiveVoicemails", "AllVoicemails"], PART, "InvalidOrder"),
    ] {
        assert_eq!(reason(&world.ask("op", prepare(selections, part_size)).await), expected, "{selections:?}");
    }
    let without_adjunct = NETWORK.replace("Adjunct Server", "Somebody");
    for (causes, expected) in [
        (NETWORK.replace("remoteUpgradeBackup: true", "remoteUpgradeBackup: false"), "RemoteUpgradeBackupOff"),
        (NETWORK.replace("{name: COMAdmin,", "{name: COMAdmin, rights: [Upgrade],"), "InsufficientRights"),
        (format!("{NETWORK}softwareVersion: 11.0.4.8\n"), "Legacy"),
        (NETWORK.replace("role: Expansion}", "role: Expansion, online: false}"), "ServerOffline"),
        (without_adjunct.clone(), "ServerOffline"),
        (format!("{NETWORK}faults: {{diskMegabytes: 1}}\ncontent: {{extensions: 1}}\n"), "DiskFull"),
    ] {
        world.set(&causes).await;
        if expected == "InsufficientRights" {
            world.session.sign_in("right").await;
        }
        let elements = if expected == "DiskFull" { vec!["AllVoicemails"; 1] } else { vec!["Configuration"] };
        if expected == "DiskFull" {
            std::fs::write(world.site.disk().join("log/ballast"), vec![0; 900_000]).unwrap();
        }
        let refused = world.ask("op", prepare(&elements, PART)).await;
        assert_eq!(reason(&refused), expected, "{refused:?}");
        world.set(NETWORK).await;
        if expected == "InsufficientRights" {
            world.session.sign_in("right").await;
        }
    }
}

#[tokio::test]
async fn the_power_may_fail_in_the_middle_of_anything_and_the_same_command_goes_on() {
    let fault =
        |work: &str| format!("{NETWORK}faults: {{rebootDuring: {{work: {work}, afterKilobytes: 50, token: {work}, outageSeconds: 0}}}}\n");
    let mut world = World::new(&fault("Packing")).await;
    let before = world.content();
    world.cut(|world| Box::pin(world.session.begin("backup", prepare(&["AllVoicemails", "CustomPrompts"], PART)))).await;
    let elements = world.pack("backup", &["AllVoicemails", "CustomPrompts"]).await;
    world.set(&fault("Upload")).await;
    let digests = world.parts("backup", &elements[1]).await;
    let parts: Vec<_> = (1..).zip(&digests).map(|(number, part)| world.store.part("lost", number, &part.sha256)).collect();
    let command = Command::UploadParts { element: elements[1].element.clone(), parts, authority: world.store.authority() };
    world.cut(|world| Box::pin(world.session.begin("backup", command))).await;
    world.put("backup", &elements[0], &key(0)).await;
    world.put("backup", &elements[1], &key(1)).await;
    world.change("voicemail/prompts/prompt-001.wav", "newer");
    world.set(&fault("Fetch")).await;
    let command = Command::FetchElement {
        element: elements[0].element.clone(),
        size: elements[0].size,
        sha256: elements[0].sha256.clone(),
        request: world.store.get(&key(0)),
        authority: world.store.authority(),
    };
    world.cut(|world| Box::pin(world.session.begin("restore", command))).await;
    world.fetch_all("restore", &elements).await;
    world.set(&fault("Unpacking")).await;
    let command = apply(&elements);
    world.cut(|world| Box::pin(world.session.begin("restore", command))).await;
    assert!(world.facts.last_restore.as_ref().unwrap().failure.is_some(), "nothing was restored");
    assert_eq!(world.content()["voicemail/prompts/prompt-001.wav"], b"newer");
    world.set(&fault("Replacing")).await;
    world.apply("restore", &elements).await;
    assert_eq!(world.facts.last_restore.as_ref().unwrap().failure, None);
    assert_eq!(world.content(), before);
    assert!(world.site.log().contains("the power fails during Replacing"), "{}", world.site.log());
}

#[tokio::test]
async fn a_network_that_is_cut_stops_a_fetch_which_then_goes_on() {
    let slow = format!("{NETWORK}faults: {{transfers: {{kilobytesPerSecond: 20}}}}\n");
    let mut world = World::new(NETWORK).await;
    let elements = world.backup("backup", &["AllVoicemails"]).await;
    world.set(&slow).await;
    let command = Command::FetchElement {
        element: elements[0].element.clone(),
        size: elements[0].size,
        sha256: elements[0].sha256.clone(),
        request: world.store.get(&key(0)),
        authority: world.store.authority(),
    };
    let answer = loop {
        match world.session.ask("restore", command.clone()).await {
            // The time for an answer was over before the first bytes came.
            AnswerResult::Done { output: Some(Output::InProgress { done: 0, .. }), .. } => {}
            other => break other,
        }
    };
    assert!(matches!(answer, AnswerResult::Done { output: Some(Output::InProgress { done: 1.., .. }), .. }), "{answer:?}");
    world.site.causes(&format!("{slow}network: {{connected: false}}\n"));
    assert_eq!(world.next().await, None);
    world.site.causes(NETWORK);
    world.again().await;
    let _ = world.fetch("restore", &elements[0], &key(0)).await;
    world.fetch_all("restore", &elements).await;
    let requests = world.store.content.lock().unwrap().requests.clone();
    assert!(requests.iter().any(|(method, _, range)| method == "GET" && range.is_some()), "{requests:?}");
}

#[tokio::test]
async fn a_full_disk_refuses_to_fetch_and_to_take_over_before_anything_is_touched() {
    let mut world = World::new(NETWORK).await;
    let elements = world.backup("backup", &["AllVoicemails"]).await;
    let before = world.content();
    world.fetch_all("restore", &elements).await;
    std::fs::write(world.site.disk().join("log/ballast"), vec![0; 900_000]).unwrap();
    world.set(&format!("{NETWORK}faults: {{diskMegabytes: 1}}\n")).await;
    assert_eq!(reason(&world.ask("restore", apply(&elements)).await), "DiskFull");
    assert_eq!(reason(&world.fetch("other", &elements[0], &key(0)).await), "DiskFull");
    assert_eq!(world.content(), before);
    assert_eq!(world.facts.last_restore, None);
}

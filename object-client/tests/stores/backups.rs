//! The catalogue, and reading backups again.

use archive::catalogue::{Damage, State};
use archive::layout::{Item, ROOT, system_prefix};
use archive::manifest::ManifestError;
use archive::verification::{Outcome, Soundness};
use jiff::Timestamp;
use object_client::catalogue;
use object_client::verification::{VerifyError, keep, verify};

use crate::against_every_store;
use crate::backup::{PART, archive, folder, hostile_archive, put, system};
use crate::store::Store;

against_every_store!(
    the_catalogue_is_read_from_the_store_alone,
    a_whole_backup_is_verified_and_the_catalogue_says_so,
    changed_bytes_are_found_and_named,
    a_lost_element_is_no_verdict_about_bytes,
    an_archive_that_could_not_be_restored_is_damaged,
    backups_below_another_prefix_stay_unseen,
);

const CONFIGURATION: &str = "Configuration/IPOffice/HQ";

async fn the_catalogue_is_read_from_the_store_alone(store: &Store) {
    let client = store.client();
    assert_eq!(catalogue(&client, ROOT).await.unwrap().entries, []);
    let manifest = put(store, "whole", &[(CONFIGURATION, archive(1000)), ("VoicemailConfiguration", archive(10))]).await;
    let broken_off = folder("broken off");
    client.write(&format!("{}elements/0001-configuration.tar", broken_off.prefix()), b"x".to_vec()).await.unwrap();
    let garbled = folder("garbled");
    client.write(&garbled.key(&Item::Manifest), b"{".to_vec()).await.unwrap();
    let oversized = folder("oversized");
    client.write(&oversized.key(&Item::Manifest), vec![b' '; archive::manifest::LARGEST + 5]).await.unwrap();
    client.write("backups/README", b"x".to_vec()).await.unwrap();
    let found = catalogue(&client, ROOT).await.unwrap();
    assert_eq!((found.entries.len(), found.stranger_count), (4, 1));
    let state = |id| &found.find(&system(), id).unwrap().state;
    let State::Complete { manifest: read, soundness: Soundness::Unverified } = state(&manifest.backup_id) else {
        panic!("{:?}", state(&manifest.backup_id));
    };
    assert_eq!(**read, manifest);
    assert_eq!(*state(&broken_off.id), State::Incomplete);
    assert!(matches!(state(&garbled.id), State::Damaged(Damage::Manifest(ManifestError::Unreadable(_)))));
    assert!(matches!(state(&oversized.id), State::Damaged(Damage::Manifest(ManifestError::TooLarge(_)))));
}

async fn a_whole_backup_is_verified_and_the_catalogue_says_so(store: &Store) {
    let client = store.client();
    let manifest = put(store, "whole", &[(CONFIGURATION, archive(2 * PART + 1)), ("VoicemailConfiguration", archive(0))]).await;
    let verification = verify(&client, &manifest.folder()).await.unwrap();
    assert_eq!((&verification.outcome, verification.bytes), (&Outcome::Verified, manifest.totals.size));
    let now = Timestamp::now();
    keep(&client, &verification, now).await.unwrap();
    let found = catalogue(&client, &system_prefix(&system())).await.unwrap();
    assert!(matches!(&found.entries[0].state, State::Complete { soundness: Soundness::Verified(time), .. } if *time == now));
    // Nothing is kept for a backup that was removed meanwhile.
    client.delete(&found.entries[0].keys_to_remove().into_iter().map(str::to_owned).collect::<Vec<_>>()).await.unwrap();
    assert!(matches!(keep(&client, &verification, now).await, Err(VerifyError::NoBackup(_))));
    assert!(matches!(verify(&client, &manifest.folder()).await, Err(VerifyError::NoBackup(_))));
    assert_eq!(catalogue(&client, ROOT).await.unwrap().entries, []);
}

async fn changed_bytes_are_found_and_named(store: &Store) {
    let client = store.client();
    let (first, second) = (archive(100), archive(2 * PART));
    let manifest = put(store, "changed", &[(CONFIGURATION, first), ("VoicemailConfiguration", second.clone())]).await;
    let mut changed = second;
    changed[usize::try_from(PART).unwrap() + 77] ^= 1;
    client.write(&manifest.elements[1].key, changed).await.unwrap();
    let verification = verify(&client, &manifest.folder()).await.unwrap();
    let reason = "VoicemailConfiguration: part 2 of 3 differs from what was backed up";
    assert_eq!(verification.outcome, Outcome::Damaged { reason: reason.into() });
    keep(&client, &verification, Timestamp::now()).await.unwrap();
    let found = catalogue(&client, ROOT).await.unwrap();
    assert!(matches!(&found.entries[0].state, State::Complete { soundness: Soundness::Damaged(_), .. }));
    assert_eq!(found.latest_before(&system(), Timestamp::MAX), None);
}

async fn a_lost_element_is_no_verdict_about_bytes(store: &Store) {
    let client = store.client();
    let manifest = put(store, "lost", &[(CONFIGURATION, archive(100))]).await;
    client.delete(&[manifest.elements[0].key.clone()]).await.unwrap();
    assert_eq!(verify(&client, &manifest.folder()).await, Err(VerifyError::Missing(CONFIGURATION.into())));
    let found = catalogue(&client, ROOT).await.unwrap();
    assert_eq!(found.entries[0].state, State::Damaged(Damage::Missing(CONFIGURATION.into())));
}

async fn an_archive_that_could_not_be_restored_is_damaged(store: &Store) {
    let client = store.client();
    let manifest = put(store, "hostile", &[(CONFIGURATION, hostile_archive()), ("VoicemailConfiguration", b"no archive".to_vec())]).await;
    let Outcome::Damaged { reason } = verify(&client, &manifest.folder()).await.unwrap().outcome else {
        panic!("it is not fit for a restore");
    };
    assert!(reason.contains("Configuration/IPOffice/HQ: ") && reason.contains("symbolic link"), "{reason}");
    assert!(reason.contains("VoicemailConfiguration: ") && reason.contains("no tar archive"), "{reason}");
}

async fn backups_below_another_prefix_stay_unseen(store: &Store) {
    put(store, "one", &[(CONFIGURATION, archive(1))]).await;
    let other = store.client_with(|options| options.prefix = "switchboard/two/".into());
    assert_eq!(catalogue(&other, ROOT).await.unwrap().entries, []);
    assert_eq!(catalogue(&store.client(), ROOT).await.unwrap().entries.len(), 1);
}

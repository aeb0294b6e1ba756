#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::element::{ElementKind, Occasion};
use crate::retention;
use crate::testing::{backup, element, system, time};
use crate::verification::{Method, Outcome, Record};

/// A store in memory: key to bytes.
#[derive(Default, Clone)]
struct Store(BTreeMap<String, Vec<u8>>);

impl Store {
    fn put(&mut self, manifest: &Manifest) {
        for element in &manifest.elements {
            self.0.insert(element.key.clone(), vec![0; usize::try_from(element.size).unwrap()]);
        }
        self.0.insert(manifest.folder().key(&Item::Manifest), manifest.write().unwrap());
    }
    fn verify(&mut self, manifest: &Manifest, outcome: Outcome) {
        let key = manifest.folder().key(&Item::Manifest);
        let record = Record {
            schema_version: 1,
            backup_id: manifest.backup_id.clone(),
            manifest_sha256: Sha256::of(&self.0[&key]),
            time: time("2026-11-23T00:00:00Z"),
            method: Method::Reading,
            outcome,
        };
        self.0.insert(manifest.folder().key(&Item::Verification), record.write());
    }
    fn listing(&self) -> Listing {
        let mut listing = Listing::new();
        self.0.iter().for_each(|(key, bytes)| listing.add(key, bytes.len() as u64));
        listing
    }
    fn catalogue(&self) -> Catalogue {
        let listing = self.listing();
        let read = listing.to_read().into_iter().map(|key| (key.clone(), Read::Bytes(self.0[&key].clone()))).collect();
        listing.into_catalogue(&read)
    }
}

fn automatic(at: &str) -> Manifest {
    backup(time(at), Occasion::Automatic, at)
}

fn state(store: &Store, manifest: &Manifest) -> State {
    store.catalogue().find(&system(), &manifest.backup_id).unwrap().state.clone()
}

#[test]
fn complete_backups_are_found_from_the_store_alone_newest_first() {
    let mut store = Store::default();
    let [first, second, third] = ["2026-11-20T02:00:00Z", "2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z"].map(automatic);
    [&second, &third, &first].into_iter().for_each(|manifest| store.put(manifest));
    let catalogue = store.catalogue();
    let found: Vec<_> = catalogue.entries.iter().map(|entry| entry.manifest().unwrap()).collect();
    assert_eq!(found, [&third, &second, &first]);
    assert_eq!(catalogue.entries[0].stored, third.totals.size + third.write().unwrap().len() as u64);
    assert_eq!(catalogue.stranger_count, 0);
    assert_eq!(catalogue.held(&system()).unwrap().len(), 3);
    assert_eq!(catalogue.find(&system(), &second.backup_id).unwrap().manifest(), Some(&second));
}

#[test]
fn an_interrupted_backup_is_never_complete() {
    let manifest = automatic("2026-11-22T02:00:00Z");
    let mut store = Store::default();
    store.put(&manifest);
    store.0.remove(&manifest.folder().key(&Item::Manifest));
    assert_eq!(state(&store, &manifest), State::Incomplete);
    assert_eq!(store.catalogue().latest_before(&system(), time("2030-01-01T00:00:00Z")), None);
    assert_eq!(store.catalogue().held(&system()), Some(vec![]));
}

#[test]
fn a_lost_or_shortened_element_makes_a_backup_damaged() {
    let manifest = automatic("2026-11-22T02:00:00Z");
    let mut store = Store::default();
    store.put(&manifest);
    let element = &manifest.elements[0];
    store.0.insert(element.key.clone(), vec![0; 3]);
    let name = || "Configuration/IPOffice/HQ".to_owned();
    assert_eq!(state(&store, &manifest), State::Damaged(Damage::Size { element: name(), expected: element.size, found: 3 }));
    store.0.remove(&element.key);
    assert_eq!(state(&store, &manifest), State::Damaged(Damage::Missing(name())));
    assert_eq!(store.catalogue().held(&system()), Some(vec![]));
}

#[test]
fn damaged_newer_and_foreign_manifests_are_told_apart() {
    let manifest = automatic("2026-11-22T02:00:00Z");
    let mut store = Store::default();
    store.put(&manifest);
    let key = manifest.folder().key(&Item::Manifest);
    let good = store.0[&key].clone();
    store.0.insert(key.clone(), good[..good.len() / 2].to_vec());
    assert!(matches!(state(&store, &manifest), State::Damaged(Damage::Manifest(ManifestError::Unreadable(_)))));
    store.0.insert(key.clone(), b"{\"schemaVersion\": 7}".to_vec());
    assert_eq!(state(&store, &manifest), State::Newer(ManifestError::Future(7)));
    store.0.insert(key, automatic("2026-11-21T02:00:00Z").write().unwrap());
    assert!(matches!(state(&store, &manifest), State::Foreign(_)));
    assert_eq!(store.catalogue().held(&system()), Some(vec![]), "none of them is a backup that could be pruned");
}

#[test]
fn what_could_not_be_read_now_is_not_called_damaged_and_stops_pruning_but_not_the_others() {
    let [first, second] = ["2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z"].map(automatic);
    let mut store = Store::default();
    [&first, &second].into_iter().for_each(|manifest| store.put(manifest));
    let (first_key, second_key) = (first.folder().key(&Item::Manifest), second.folder().key(&Item::Manifest));
    for failed in [Some(Read::Failed("503 Slow Down".into())), None] {
        let mut read = BTreeMap::from([(first_key.clone(), Read::Bytes(store.0[&first_key].clone()))]);
        read.extend(failed.map(|failed| (second_key.clone(), failed)));
        let catalogue = store.listing().into_catalogue(&read);
        assert!(matches!(catalogue.find(&system(), &second.backup_id).unwrap().state, State::Unread(_)));
        assert_eq!(catalogue.latest_before(&system(), time("2030-01-01T00:00:00Z")), Some(&first));
        assert!(catalogue.unread(&system()) && catalogue.held(&system()).is_none());
    }
    let gone = BTreeMap::from([(first_key.clone(), Read::Bytes(store.0[&first_key].clone())), (second_key, Read::Gone)]);
    assert_eq!(store.listing().into_catalogue(&gone).find(&system(), &second.backup_id).unwrap().state, State::Incomplete);
}

#[test]
fn the_latest_before_is_the_newest_sound_one_that_was_finished_by_then() {
    let mut store = Store::default();
    let [first, second] = ["2026-11-20T02:00:00Z", "2026-11-21T02:00:00Z"].map(automatic);
    let slow = Manifest { finished: time("2026-11-21T05:00:00Z"), ..automatic("2026-11-21T01:00:00Z") };
    [&first, &second, &slow].into_iter().for_each(|manifest| store.put(manifest));
    let latest = |store: &Store, at: &str| store.catalogue().latest_before(&system(), time(at)).map(|manifest| manifest.backup_id.clone());
    assert_eq!(latest(&store, "2026-11-20T01:59:59Z"), None);
    assert_eq!(latest(&store, "2026-11-20T02:00:00Z"), Some(first.backup_id.clone()));
    assert_eq!(latest(&store, "2026-11-21T04:00:00Z"), Some(second.backup_id.clone()));
    assert_eq!(latest(&store, "2026-11-21T05:00:00Z"), Some(slow.backup_id.clone()), "it holds the later state");
    store.verify(&slow, Outcome::Damaged { reason: "part 1".into() });
    assert_eq!(latest(&store, "2026-11-22T00:00:00Z"), Some(second.backup_id.clone()));
    let other = SystemKey { system: "branch".parse().unwrap(), ..system() };
    assert_eq!(store.catalogue().latest_before(&other, time("2030-01-01T00:00:00Z")), None);
}

#[test]
fn a_verification_counts_for_the_manifest_it_was_made_of() {
    let manifest = automatic("2026-11-22T02:00:00Z");
    let mut store = Store::default();
    store.put(&manifest);
    store.verify(&manifest, Outcome::Verified);
    let soundness = |store: &Store| match state(store, &manifest) {
        State::Complete { soundness, .. } => soundness,
        other => panic!("{other:?}"),
    };
    assert_eq!(soundness(&store), Soundness::Verified(time("2026-11-23T00:00:00Z")));
    store.put(&Manifest { configuration_revision: 43, ..manifest.clone() });
    assert_eq!(soundness(&store), Soundness::Unverified);
}

#[test]
fn a_verification_that_could_not_be_read_stops_pruning_but_no_restore() {
    let manifest = automatic("2026-11-22T02:00:00Z");
    let mut store = Store::default();
    store.put(&manifest);
    store.verify(&manifest, Outcome::Verified);
    let (key, record) = (manifest.folder().key(&Item::Manifest), manifest.folder().key(&Item::Verification));
    for answer in [Some(Read::Failed("timeout".into())), Some(Read::Bytes(b"{\"schemaVersion\": 2}".to_vec())), None] {
        let mut read = BTreeMap::from([(key.clone(), Read::Bytes(store.0[&key].clone()))]);
        read.extend(answer.map(|answer| (record.clone(), answer)));
        let catalogue = store.listing().into_catalogue(&read);
        assert_eq!(catalogue.held(&system()), None, "it might be the last verified one");
        assert_eq!(catalogue.latest_before(&system(), time("2030-01-01T00:00:00Z")), Some(&manifest));
    }
}

#[test]
fn retention_works_on_what_the_catalogue_found() {
    let mut store = Store::default();
    let all = ["2026-11-01T02:00:00Z", "2026-11-02T02:00:00Z", "2026-11-03T02:00:00Z", "2026-11-04T02:00:00Z"]
        .map(|at| backup(time(at), Occasion::Manual, at));
    all.iter().for_each(|manifest| store.put(manifest));
    let held = store.catalogue().held(&system()).unwrap();
    let plan = retention::plan(&held, time("2026-11-05T00:00:00Z"), &jiff::tz::TimeZone::UTC);
    assert_eq!(plan.removed().map(|(id, _)| id.clone()).collect::<Vec<_>>(), [all[0].backup_id.clone()]);
}

#[test]
fn a_tenancy_sees_its_own_backups_only_and_what_is_no_backup() {
    let mut store = Store::default();
    let own = automatic("2026-11-20T02:00:00Z");
    let mut other = automatic("2026-11-21T02:00:00Z");
    other.ip_office.namespace = "another".into();
    store.put(&own);
    store.put(&other);
    store.0.insert(automatic("2026-11-22T02:00:00Z").elements[0].key.clone(), Vec::new());
    let catalogue = store.catalogue().only(|manifest| manifest.ip_office.namespace == own.ip_office.namespace);
    assert_eq!(
        catalogue.held(&system()).unwrap().into_iter().map(|held| held.id).collect::<Vec<_>>(),
        std::slice::from_ref(&own.backup_id)
    );
    assert_eq!(catalogue.latest_before(&system(), time("2026-12-01T00:00:00Z")), Some(&own));
    assert_eq!(catalogue.entries.len(), 2, "an upload that was broken off has no tenancy");
}

#[test]
fn a_removal_that_is_cut_short_leaves_no_backup_that_seems_to_exist() {
    let manifest = automatic("2026-11-22T02:00:00Z");
    let mut store = Store::default();
    store.put(&manifest);
    store.verify(&manifest, Outcome::Verified);
    store.0.insert(manifest.folder().prefix() + "added-later.json", vec![1]);
    let catalogue = store.catalogue();
    let keys = catalogue.entries[0].keys_to_remove();
    assert_eq!(keys.len(), store.0.len(), "everything in the folder goes");
    for key in keys {
        store.0.remove(key);
        assert!(store.catalogue().entries.iter().all(|entry| entry.state == State::Incomplete));
    }
}

#[test]
fn strangers_are_named_up_to_a_bound_and_other_systems_stay_apart() {
    let mut store = Store::default();
    let manifest = automatic("2026-11-22T02:00:00Z");
    store.put(&manifest);
    let other = Folder { system: SystemKey { system: "hq2".parse().unwrap(), ..system() }, id: manifest.backup_id.clone() };
    let foreign = element(&other, 1, "CustomPrompts", b"prompts");
    store.0.insert(foreign.key.clone(), vec![]);
    let mut listing = store.listing();
    (0..MOST_STRANGERS + 5).for_each(|at| listing.add(&format!("backups/readme-{at}.txt"), 1));
    listing.add(&foreign.key, 0);
    let catalogue = listing.into_catalogue(&BTreeMap::new());
    assert_eq!((catalogue.strangers.len(), catalogue.stranger_count), (MOST_STRANGERS, MOST_STRANGERS + 5));
    assert_eq!(catalogue.of(&system()).count(), 1);
    let keys: Vec<_> = catalogue.of(&other.system).flat_map(|entry| entry.keys.clone()).collect();
    assert_eq!(keys, [other.key(&Item::Element(1, ElementKind::CustomPrompts))]);
}

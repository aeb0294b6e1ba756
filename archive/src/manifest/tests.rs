#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use serde_json::{Value, json};

use super::*;
use crate::digest::PartHasher;
use crate::layout::Item;
use crate::testing::{manifest, time};

const FIXTURE: &[u8] = include_bytes!("../../fixtures/manifest-v1.json");

fn fixture() -> Value {
    serde_json::from_slice(FIXTURE).unwrap()
}

/// Reads the fixture with one place changed.
fn read_with(pointer: &str, value: Value) -> Result<Manifest, ManifestError> {
    let mut json = fixture();
    *json.pointer_mut(pointer).unwrap() = value;
    read(&json)
}

fn read(json: &Value) -> Result<Manifest, ManifestError> {
    Manifest::read(&serde_json::to_vec(json).unwrap(), &manifest().folder())
}

fn faults(result: Result<Manifest, ManifestError>) -> Vec<Fault> {
    match result {
        Err(ManifestError::Inconsistent(faults)) => faults,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_manifest_of_version_1_is_read_for_ever() {
    let read = Manifest::read(FIXTURE, &manifest().folder()).unwrap();
    assert_eq!(read, manifest());
    assert_eq!(read.elements[2].parts.len(), 2);
    assert_eq!(read.started, time("2026-11-22T02:13:09Z"));
    assert!(read.holds(ElementKind::Configuration) && !read.holds(ElementKind::AllVoicemails));
}

#[test]
fn what_is_written_is_the_fixture_to_the_byte() {
    assert_eq!(String::from_utf8(manifest().write().unwrap()).unwrap(), std::str::from_utf8(FIXTURE).unwrap());
}

#[test]
fn fields_of_later_writers_are_skipped_and_optional_ones_may_be_absent() {
    let mut json = fixture();
    json["colour"] = json!({"nested": [1, null]});
    json["elements"][0]["compression"] = json!("zstd");
    json["totals"]["seconds"] = json!(4);
    assert_eq!(read(&json).unwrap(), manifest());
    for optional in ["name", "servers", "writtenBy"] {
        json.as_object_mut().unwrap().remove(optional);
    }
    let expected = Manifest { name: None, servers: vec![], written_by: String::new(), ..manifest() };
    assert_eq!(read(&json).unwrap(), expected);
}

#[test]
fn a_manifest_from_the_future_is_refused_with_what_to_do_whatever_else_is_in_it() {
    let error = read(&json!({"schemaVersion": 2, "backups": "elsewhere"})).unwrap_err();
    assert_eq!(error, ManifestError::Future(2));
    assert!(error.is_newer() && error.to_string().contains("use that version"), "{error}");
    assert!(read(&json!({"schemaVersion": 5_000_000_000_u64})).unwrap_err().is_newer());

    let mut json = fixture();
    json["requires"] = json!(["deduplication", "a\nb"]);
    let error = read(&json).unwrap_err();
    assert_eq!(error, ManifestError::Requires(vec!["deduplication".into(), "ab".into()]));
    assert!(error.is_newer() && error.to_string().contains("deduplication"), "{error}");
}

#[test]
fn a_manifest_cut_anywhere_is_refused() {
    // Every place is tried; only what follows the last brace may be missing.
    let end = FIXTURE.iter().rposition(|byte| *byte == b'}').unwrap();
    for length in 0..=end {
        let error = Manifest::read(&FIXTURE[..length], &manifest().folder()).unwrap_err();
        assert!(matches!(error, ManifestError::Unreadable(_)), "{length}: {error}");
        assert!(!error.is_newer());
    }
}

#[test]
fn what_is_no_manifest_is_refused() {
    for bad in
        [&b"<html>"[..], b"{}", b"null", b"[]", b"\xff\xfe", b"{\"schemaVersion\":0}", b"{\"schemaVersion\":-1}", b"{\"schemaVersion\":1}"]
    {
        assert!(matches!(Manifest::read(bad, &manifest().folder()), Err(ManifestError::Unreadable(_))), "{bad:?}");
    }
    let twice = String::from_utf8(FIXTURE.to_vec()).unwrap().replacen("\"profile\"", "\"profile\": \"ACCS\", \"profile\"", 1);
    assert!(Manifest::read(twice.as_bytes(), &manifest().folder()).unwrap_err().to_string().contains("duplicate field"));
    let deep = "[".repeat(100_000);
    assert!(Manifest::read(deep.as_bytes(), &manifest().folder()).is_err());
    assert_eq!(Manifest::read(&vec![b' '; LARGEST + 1], &manifest().folder()), Err(ManifestError::TooLarge(LARGEST + 1)));
}

#[test]
fn a_manifest_in_another_folder_is_foreign() {
    let own = manifest().folder();
    let other_system = SystemKey { system: "branch".parse().unwrap(), ..own.system.clone() };
    let other_id = BackupId::new(own.id.created(), "another object").unwrap();
    for folder in [Folder { system: other_system, ..own.clone() }, Folder { id: other_id, ..own.clone() }] {
        let error = Manifest::read(FIXTURE, &folder).unwrap_err();
        assert_eq!(error, ManifestError::Foreign { folder: Box::new(folder), found: Box::new(own.clone()) });
    }
}

#[test]
fn keys_outside_the_backups_own_folder_are_refused() {
    let folder = manifest().folder();
    let name = || "Configuration/IPOffice/HQ".to_owned();
    let elsewhere = Folder { id: BackupId::new(folder.id.created(), "another object").unwrap(), ..folder.clone() };
    let key = |folder: &Folder, item| json!(folder.key(&item));
    let element = Item::Element(1, ElementKind::Configuration);
    assert_eq!(faults(read_with("/elements/0/key", key(&elsewhere, element))), [Fault::KeyOutside(name())]);
    for item in [Item::Manifest, Item::Element(9, ElementKind::CustomPrompts), Item::Other("elements/a".into())] {
        assert_eq!(faults(read_with("/elements/0/key", key(&folder, item))), [Fault::KeyOfOtherKind(name())]);
    }
    for bad in [format!("{}../../x/manifest.json", folder.prefix()), "/etc/passwd".into(), String::new(), "releases/12.0/image.tar".into()]
    {
        assert!(matches!(faults(read_with("/elements/0/key", json!(bad))).as_slice(), [Fault::Key(of, _)] if *of == name()), "{bad}");
    }
}

#[test]
fn sizes_and_digests_that_do_not_agree_are_refused() {
    let configuration = || "Configuration/IPOffice/HQ".to_owned();
    let messages = || "SelectiveVoicemails".to_owned();
    let other = json!(Sha256::of(b"other").to_string());
    for (pointer, value, expected) in [
        ("/elements/0/size", json!(4), vec![Fault::Totals, Fault::PartSum(configuration())]),
        ("/elements/0/sha256", other.clone(), vec![Fault::PartDigest(configuration())]),
        ("/elements/0/parts/0/sha256", other, vec![Fault::PartDigest(configuration())]),
        ("/elements/0/parts", json!([]), vec![Fault::Totals, Fault::PartCount(configuration(), 0)]),
        ("/elements/2/parts/1/size", json!(0), vec![Fault::EmptyPart(messages(), 2)]),
        ("/elements/2/parts/0/size", json!(u64::MAX), vec![Fault::PartSum(messages())]),
        ("/elements/0/size", json!(u64::MAX), vec![Fault::Totals, Fault::TooLarge(configuration())]),
        ("/totals/elements", json!(2), vec![Fault::Totals]),
        ("/totals/parts", json!(5), vec![Fault::Totals]),
        ("/totals/size", json!(0), vec![Fault::Totals]),
    ] {
        assert_eq!(faults(read_with(pointer, value.clone())), expected, "{pointer} {value}");
    }
    assert!(matches!(read_with("/elements/0/size", json!(-1)), Err(ManifestError::Unreadable(_))));
    assert!(matches!(read_with("/elements/0/sha256", json!("abc")), Err(ManifestError::Unreadable(_))));
}

#[test]
fn duplicates_and_contradictions_are_refused() {
    let second = fixture()["elements"][1].clone();
    let twice = faults(read_with("/elements/2", second));
    assert!(
        twice.contains(&Fault::ElementTwice("VoicemailConfiguration".into()))
            && twice.contains(&Fault::KeyTwice("VoicemailConfiguration".into()))
    );
    assert_eq!(faults(read_with("/finished", json!("2026-11-22T02:13:08Z"))), [Fault::FinishedBeforeStarted]);
    assert_eq!(faults(read_with("/backup/uid", json!("another object"))), [Fault::IdOfAnotherObject]);
    assert_eq!(faults(read_with("/ipOffice/uid", json!(""))), [Fault::Text("ipOffice.uid", 128)]);
    assert_eq!(faults(read_with("/name", json!("a\u{1b}[2J"))), [Fault::Text("name", 256)]);
    assert!(faults(read_with("/elements", json!([]))).contains(&Fault::ElementCount(0)));
    let many = vec![fixture()["elements"][0].clone(); usize::from(MOST_ELEMENTS) + 1];
    assert!(faults(read_with("/elements", json!(many))).contains(&Fault::ElementCount(many.len())));
    assert!(matches!(read_with("/elements/0/element", json!("Recordings")), Err(ManifestError::Unreadable(_))));
}

#[test]
fn the_number_of_faults_told_is_bounded() {
    let mut json = fixture();
    let bad = json["elements"][0].clone();
    json["elements"] = json!(vec![bad; 1000]);
    let error = read(&json).unwrap_err();
    assert!(error.to_string().len() < 1000, "{error}");
    assert!(faults(Err(error)).len() < 30);
}

#[test]
fn what_would_not_be_read_is_not_written() {
    let mut wrong = manifest();
    wrong.totals.size += 1;
    assert_eq!(wrong.write(), Err(ManifestError::Inconsistent(vec![Fault::Totals])));
    let newer = Manifest { schema_version: 2, ..manifest() };
    assert_eq!(newer.write(), Err(ManifestError::Inconsistent(vec![Fault::Version(2)])));
    let unknown = Manifest { requires: vec!["more".into()], ..manifest() };
    assert!(matches!(unknown.write(), Err(ManifestError::Requires(_))));
}

#[test]
fn an_element_without_bytes_is_one_empty_part() {
    let mut manifest = manifest();
    let empty = PartHasher::new(5.try_into().unwrap()).finish();
    let element = &mut manifest.elements[1];
    (element.size, element.sha256, element.parts) = (empty.size, empty.sha256, empty.parts);
    manifest.totals = Totals::of(&manifest.elements);
    let bytes = manifest.write().unwrap();
    assert_eq!(Manifest::read(&bytes, &manifest.folder()).unwrap(), manifest);

    let element = &mut manifest.elements[1];
    element.parts.push(element.parts[0]);
    manifest.totals = Totals::of(&manifest.elements);
    assert_eq!(manifest.write(), Err(ManifestError::Inconsistent(vec![Fault::PartSum("VoicemailConfiguration".into())])));
}

#[test]
fn an_element_of_the_most_parts_fits_into_a_manifest() {
    let mut manifest = manifest();
    let part = Part { size: 5 << 20, sha256: Sha256::of(b"part") };
    let element = &mut manifest.elements[2];
    (element.size, element.parts) = (part.size * MOST_PARTS as u64, vec![part; MOST_PARTS]);
    manifest.totals = Totals::of(&manifest.elements);
    let bytes = manifest.write().unwrap();
    assert!(bytes.len() < LARGEST / 4, "{}", bytes.len());
    assert_eq!(Manifest::read(&bytes, &manifest.folder()).unwrap(), manifest);
}

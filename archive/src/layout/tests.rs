#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;

const UID: &str = "7d9f8f2e-5a2b-4a51-9c58-0d6a5f3b1c11";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn folder() -> Folder {
    let system = SystemKey { customer: "acme1".parse().unwrap(), system: "hq".parse().unwrap() };
    Folder { system, id: BackupId::new(time("2026-11-22T02:13:05Z"), UID).unwrap() }
}

#[test]
fn an_id_is_the_same_for_the_same_object_for_ever() {
    // Written down, not computed: a change here would cut every installation off from its backups.
    let id = BackupId::new(time("2026-11-22T02:13:05Z"), UID).unwrap();
    assert_eq!(id.as_str(), "20261122t021305z-zcerr8a69pru");
    assert_eq!(BackupId::new(time("2026-11-22T02:13:05.9Z"), UID).unwrap(), id, "fractions do not count");
    assert_eq!(id.created(), time("2026-11-22T02:13:05Z"));
    assert!(id.is_of(UID) && !id.is_of("1b8e3c9a-0000-4000-8000-000000000001"), "a re-created object has another id");
}

#[test]
fn ids_sort_by_time_whatever_the_objects_are() {
    let times = [
        "1970-01-01T00:00:00Z",
        "1999-12-31T23:59:59Z",
        "2026-02-28T23:59:59Z",
        "2026-03-01T00:00:00Z",
        "2026-10-25T01:00:00Z",
        "9999-12-30T00:00:00Z",
    ];
    let ids: Vec<_> = times.iter().enumerate().map(|(at, each)| BackupId::new(time(each), &format!("uid {at}")).unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert!(ids.iter().zip(times).all(|(id, each)| id.created() == time(each)));
}

#[test]
fn an_object_without_uid_or_with_an_impossible_time_gives_no_id() {
    assert_eq!(BackupId::new(time("2026-11-22T02:13:05Z"), ""), Err(BackupIdError::NoUid));
    assert!(matches!(BackupId::new(time("1969-12-31T23:59:59Z"), UID), Err(BackupIdError::Time(_))));
}

#[test]
fn what_is_no_id_is_refused_with_an_example() {
    for bad in [
        "",
        "20261122t021305z",
        "20261122t021305z-",
        "20261122t021305z-zcerr8a69pr",
        "20261122t021305z-zcerr8a69pruu",
        "20261122T021305Z-zcerr8a69pru",
        "20261122t021305z-zcerr8a69pr1",
        "20261322t021305z-zcerr8a69pru",
        "20260230t021305z-zcerr8a69pru",
        "20261122t021360z-zcerr8a69pru",
        "2026112 t021305z-zcerr8a69pru",
        " 0261122t021305z-zcerr8a69pru",
        "19691231t235959z-zcerr8a69pru",
        "20261122t021305z/zcerr8a69pru",
        "ééééééééé-zcerr8a69pru",
    ] {
        assert!(bad.parse::<BackupId>().unwrap_err().to_string().contains("20261122t021305z-zcerr8a69pru"), "{bad}");
        assert!(serde_json::from_value::<BackupId>(bad.into()).is_err());
    }
}

#[test]
fn keys_are_as_documented_and_read_back() {
    let folder = folder();
    let prefix = "backups/acme1/hq/20261122t021305z-zcerr8a69pru/";
    assert_eq!(folder.prefix(), prefix);
    assert!(
        prefix.starts_with(&system_prefix(&folder.system))
            && system_prefix(&folder.system).starts_with(&customer_prefix(&folder.system.customer))
    );
    for (item, name) in [
        (Item::Manifest, "manifest.json"),
        (Item::Verification, "verification.json"),
        (Item::Element(1, ElementKind::Configuration), "elements/0001-configuration.tar"),
        (Item::Element(2000, ElementKind::SelectiveVoicemails), "elements/2000-selective-voicemails.tar"),
        (Item::Other("elements/0001-something-new.tar".into()), "elements/0001-something-new.tar"),
        (Item::Other("notes/a.txt".into()), "notes/a.txt"),
        (Item::Other("Manifest.json".into()), "Manifest.json"),
    ] {
        let key = folder.key(&item);
        assert_eq!(key, format!("{prefix}{name}"));
        assert_eq!(parse_key(&key).unwrap(), (folder.clone(), item));
    }
    for kind in ElementKind::ALL {
        assert_eq!(parse_key(&folder.key(&Item::Element(7, *kind))).unwrap().1, Item::Element(7, *kind));
    }
}

#[test]
fn a_number_that_is_written_otherwise_is_no_element() {
    for name in ["elements/1-configuration.tar", "elements/0000-configuration.tar", "elements/2001-configuration.tar"] {
        let key = folder().prefix() + name;
        assert_eq!(parse_key(&key).unwrap().1, Item::Other(name.to_owned()));
    }
}

#[test]
fn the_longest_ids_make_keys_far_below_the_limit() {
    let longest = "a".repeat(model::ids::MAXIMUM_LENGTH);
    let system = SystemKey { customer: longest.parse().unwrap(), system: longest.parse().unwrap() };
    let folder = Folder { system, ..folder() };
    assert!(folder.key(&Item::Element(MOST_ELEMENTS, ElementKind::VoicemailConfiguration)).len() < LONGEST_KEY / 2);
}

#[test]
fn keys_that_lead_elsewhere_are_refused() {
    let id = "20261122t021305z-zcerr8a69pru";
    for (bad, why) in [
        (format!("backups/acme1/hq/{id}/../other/manifest.json"), "part"),
        (format!("backups/acme1/../{id}/manifest.json"), "part"),
        (format!("backups/acme1/hq/{id}/./manifest.json"), "part"),
        (format!("backups/acme1/hq/{id}//manifest.json"), "part"),
        (format!("backups/acme1/hq/{id}/"), "part"),
        (format!("/backups/acme1/hq/{id}/manifest.json"), "part"),
        (String::new(), "part"),
        (format!("backups/acme1/hq/{id}/mani\nfest.json"), "character"),
        (format!("backups/acme1/hq/{id}/mani\0fest.json"), "character"),
        (format!("backups\\acme1\\hq\\{id}\\manifest.json"), "character"),
        (format!("backups/acme1/hq/{id}/%2e%2e"), "character"),
        (format!("backups/acmé/hq/{id}/manifest.json"), "character"),
        (format!("logs/acme1/hq/{id}/manifest.json"), "begin"),
        (format!("backups/acme1/hq/{id}"), "ends before"),
        (format!("backups/Acme/hq/{id}/manifest.json"), "lower case"),
        (format!("backups/acme1/h-q/{id}/manifest.json"), "lower case"),
        ("backups/acme1/hq/latest/manifest.json".to_owned(), "backup id"),
        (format!("backups/acme1/hq/{id}/{}", "a".repeat(500)), "at most 512"),
    ] {
        let error = parse_key(&bad).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
}

#![allow(clippy::unwrap_used, reason = "tests")]
use std::collections::BTreeMap;

use crds::ObjectStore;
use crds::conditions::is_true;
use serde_json::json;

use super::plan::{Found, Observed, Plan, options, plan};
use crate::action::report::Because;

fn store() -> ObjectStore {
    serde_json::from_value(json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "ObjectStore", "metadata": {"name": "default", "generation": 3},
        "spec": {
            "endpoint": "https://store:9000/", "bucket": "backups", "prefix": "a/",
            "credentialsSecret": {"namespace": "n", "name": "keys"}
        }
    }))
    .unwrap()
}

fn planned(store: &ObjectStore, found: Found, second: i64) -> Plan {
    plan(&Observed { store, found, now: jiff::Timestamp::from_second(second).unwrap() })
}

#[test]
fn a_store_is_ready_while_it_works_and_says_why_when_it_does_not() {
    let mut store = store();
    let first = planned(&store, Found::Works, 10);
    assert!(first.ready && first.transition.is_some());
    assert!(is_true(&first.status.conditions, "Ready") && is_true(&first.status.conditions, "Reachable"));
    store.status = Some(first.status.clone());
    let again = planned(&store, Found::Works, 20);
    assert_eq!(again.status, first.status, "at rest nothing is written");
    assert_eq!(again.transition, None);
    let down = planned(&store, Found::DoesNotWork(Because::new("StoreUnreachable", "no answer")), 30);
    assert!(!down.ready && down.transition.is_some_and(|because| because.reason == "StoreUnreachable"));
    store.status = Some(down.status);
    let set_aside = planned(&store, Found::NotLooked, 40);
    assert!(is_true(&set_aside.status.conditions, "Paused"));
    assert_eq!(set_aside.status.conditions.len(), 3, "what was known stays");
    store.status = Some(set_aside.status);
    let back = planned(&store, Found::Works, 50);
    assert!(back.ready && !is_true(&back.status.conditions, "Paused"));
}

#[test]
fn the_secret_gives_the_keys_without_the_line_breaks_of_files() {
    let spec = store().spec;
    let mut secret = BTreeMap::from([("accessKeyId".to_owned(), b"AKIA\n".to_vec())]);
    let lacking = options(&spec, &secret).unwrap_err();
    assert!(lacking.reason == "SecretIncomplete" && lacking.message.contains("n/keys") && lacking.message.contains("secretAccessKey"));
    secret.insert("secretAccessKey".into(), b"hunter2\r\n".to_vec());
    let options = options(&spec, &secret).unwrap();
    assert_eq!((options.access_key_id.as_str(), options.secret_access_key.expose()), ("AKIA", "hunter2"));
    assert_eq!((options.endpoint.as_str(), options.prefix.as_str(), options.region.as_str()), ("https://store:9000", "a/", "us-east-1"));
    assert_eq!(options.session_token, None);
    assert!(!format!("{options:?}").contains("hunter2"));
}

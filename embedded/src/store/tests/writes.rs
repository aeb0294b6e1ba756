use futures::FutureExt;
use serde_json::json;

use super::*;
use crate::store::{Change, Write};

fn names(listing: &crate::store::Listing) -> Vec<String> {
    listing.objects.iter().map(|object| format!("{}/{}", object.key.namespace, object.key.name)).collect()
}

#[tokio::test]
async fn a_write_stamps_its_revision_into_the_object() {
    let store = Store::in_memory();
    let before = store.revision();
    let mut value = config_map("a", "1");
    value["metadata"]["resourceVersion"] = json!("77");
    let object = store.write(Write::Create { key: key("default", "a"), value: value.clone() }).await.unwrap();
    assert_eq!(object.revision, before + 1);
    value["metadata"]["resourceVersion"] = json!(object.revision.to_string());
    assert_eq!(object.value(), value);
    assert_eq!(store.get(&key("default", "a")).unwrap(), object);
}

#[tokio::test]
async fn text_that_needs_escaping_comes_back_as_it_was() {
    let store = Store::in_memory();
    let odd = "\"quoted\" \\ \u{0}\u{1f} ü 日本 \u{2028} \"resourceVersion\":\"5\"";
    let value = json!({"metadata": {odd: odd, "labels": {odd: odd}}, odd: {"a": [null, 1.5, -3, true, {}]}, "empty": {}});
    let object = store.write(Write::Create { key: key("", &odd.replace('\0', "")), value: value.clone() }).await.unwrap();
    let mut expected = value;
    expected["metadata"]["resourceVersion"] = json!(object.revision.to_string());
    assert_eq!(object.value(), expected);
    assert_eq!(object.label(odd), Some(odd));
}

#[tokio::test]
async fn an_object_without_metadata_gets_a_revision_all_the_same() {
    let store = Store::in_memory();
    let object = store.write(Write::Create { key: key("", "a"), value: json!({}) }).await.unwrap();
    assert_eq!(object.value(), json!({"metadata": {"resourceVersion": object.revision.to_string()}}));
}

#[tokio::test]
async fn labels_are_found_without_parsing() {
    let store = Store::in_memory();
    let value = json!({"metadata": {"name": "a", "labels": {"zone": "north", "app": "web", "number": 7}}});
    let object = store.write(Write::Create { key: key("default", "a"), value }).await.unwrap();
    assert_eq!(object.label("zone"), Some("north"));
    assert_eq!(object.label("app"), Some("web"));
    assert_eq!(object.label("number"), None, "not a string, so not a label");
    assert_eq!(object.label("other"), None);
}

#[tokio::test]
async fn creating_what_exists_is_refused_and_changes_nothing() {
    let store = Store::in_memory();
    let first = create(&store, &key("default", "a"), "1").await.unwrap();
    assert_eq!(create(&store, &key("default", "a"), "2").await, Err(WriteError::Exists));
    assert_eq!(store.get(&key("default", "a")), Some(first.clone()));
    assert_eq!(store.revision(), first.revision);
}

#[tokio::test]
async fn updating_or_deleting_another_state_than_was_read_is_a_conflict() {
    let store = Store::in_memory();
    let key = key("default", "a");
    let first = create(&store, &key, "1").await.unwrap();
    let second = update(&store, &key, first.revision, "2").await.unwrap();
    assert_eq!(update(&store, &key, first.revision, "3").await, Err(WriteError::Conflict));
    assert_eq!(delete(&store, &key, first.revision).await, Err(WriteError::Conflict));
    assert_eq!(store.get(&key), Some(second));
}

#[tokio::test]
async fn updating_or_deleting_what_is_not_there_is_missing() {
    let store = Store::in_memory();
    assert_eq!(update(&store, &key("default", "a"), 1, "1").await, Err(WriteError::Missing));
    assert_eq!(delete(&store, &key("default", "a"), 1).await, Err(WriteError::Missing));
}

#[tokio::test]
async fn a_deletion_returns_the_last_state_under_its_own_revision() {
    let store = Store::in_memory();
    let key = key("default", "a");
    let first = create(&store, &key, "kept").await.unwrap();
    let last = delete(&store, &key, first.revision).await.unwrap();
    assert_eq!(last.revision, first.revision + 1);
    assert_eq!(last.value()["metadata"]["resourceVersion"], json!(last.revision.to_string()));
    assert_eq!(last.value()["data"]["text"], "kept");
    assert_eq!(store.get(&key), None);
    assert_eq!(store.revision(), last.revision);
}

#[tokio::test]
async fn a_revision_with_more_digits_is_stamped_whole() {
    let store = Store::in_memory();
    let key = key("default", "a");
    let mut object = create(&store, &key, "0").await.unwrap();
    while object.revision < 9 {
        object = update(&store, &key, object.revision, "0").await.unwrap();
    }
    let last = delete(&store, &key, 9).await.unwrap();
    assert_eq!(last.value()["metadata"]["resourceVersion"], "10");
}

#[tokio::test]
async fn of_many_who_read_the_same_state_one_wins() {
    let folder = Folder::new();
    let store = Store::open(folder.path()).unwrap();
    let key = key("default", "a");
    let first = create(&store, &key, "0").await.unwrap();
    let tries: Vec<_> = (0..50)
        .map(|i| {
            let (store, key, revision) = (store.clone(), key.clone(), first.revision);
            tokio::spawn(async move { update(&store, &key, revision, &i.to_string()).await })
        })
        .collect();
    let mut won = Vec::new();
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(object) => won.push(object),
            Err(error) => assert_eq!(error, WriteError::Conflict),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(store.get(&key), won.pop());
}

#[tokio::test]
async fn a_list_is_ordered_by_namespace_then_name() {
    let store = Store::in_memory();
    for (namespace, name) in [("b", "x"), ("a", "z"), ("a", "y"), ("ab", "a"), ("c", "a")] {
        create(&store, &key(namespace, name), "").await.unwrap();
    }
    create(&store, &Key::new("secrets", "a", "other"), "").await.unwrap();
    let all = store.list("configmaps", None, None, None);
    assert_eq!(names(&all), ["a/y", "a/z", "ab/a", "b/x", "c/a"]);
    assert_eq!(all.revision, store.revision());
    assert_eq!(names(&store.list("configmaps", Some("a"), None, None)), ["a/y", "a/z"]);
    assert!(store.list("configmaps", Some("none"), None, None).objects.is_empty());
    assert!(store.list("pods", None, None, None).objects.is_empty());
}

#[tokio::test]
async fn pages_follow_each_other_and_say_what_remains() {
    let store = Store::in_memory();
    for name in ["a", "b", "c", "d", "e"] {
        create(&store, &key("default", name), "").await.unwrap();
        create(&store, &key("other", name), "").await.unwrap();
    }
    let first = store.list("configmaps", Some("default"), None, Some(2));
    assert_eq!((names(&first), first.more, first.remaining), (vec!["default/a".into(), "default/b".into()], true, 3));
    let rest = store.list("configmaps", Some("default"), Some(("default", "b")), Some(3));
    assert_eq!((rest.objects.len(), rest.more, rest.remaining), (3, false, 0));
    let across = store.list("configmaps", None, Some(("default", "d")), Some(2));
    assert_eq!((names(&across), across.remaining), (vec!["default/e".into(), "other/a".into()], 4));
    let early = store.list("configmaps", Some("other"), Some(("default", "b")), Some(9));
    assert_eq!(names(&early)[0], "other/a", "a place before the namespace does not widen the list");
}

#[tokio::test]
async fn counters_tell_writes_by_kind_of_change() {
    let folder = Folder::new();
    let store = Store::open(folder.path()).unwrap();
    let a = create(&store, &key("default", "a"), "1").await.unwrap();
    let a = update(&store, &key("default", "a"), a.revision, "2").await.unwrap();
    create(&store, &key("default", "b"), "1").await.unwrap();
    delete(&store, &key("default", "a"), a.revision).await.unwrap();
    let _ = delete(&store, &key("default", "a"), a.revision).await;
    let counters = store.counters();
    assert_eq!((counters.created, counters.updated, counters.deleted), (2, 1, 1));
    assert_eq!(counters.commits, 4, "a refused write costs no transaction");
    assert!(counters.commit_seconds > 0.0);
    assert_eq!(counters.objects["configmaps"], 1);
}

#[tokio::test]
async fn writes_that_come_together_share_transactions() {
    let folder = Folder::new();
    let store = Store::open(folder.path()).unwrap();
    let keys: Vec<Key> = (0..400).map(|i| key("default", &format!("c{i}"))).collect();
    let mut writes = futures::future::join_all(keys.iter().map(|key| create(&store, key, "")));
    {
        // Whoever reads holds up the first transaction, as a slow disk does, until all the others have come.
        let _reading = store.0.memory.read();
        assert!(tokio::task::unconstrained(&mut writes).now_or_never().is_none());
    }
    let mut revisions: Vec<u64> = writes.await.into_iter().map(|written| written.unwrap().revision).collect();
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 400, "each write has a revision of its own");
    assert!(store.counters().commits <= 2, "{} transactions for 400 writes", store.counters().commits);
}

#[tokio::test]
async fn a_closed_store_refuses_writes_and_ends_watches() {
    let folder = Folder::new();
    let store = Store::open(folder.path()).unwrap();
    let mut watch = store.watch("configmaps", None, store.revision()).unwrap();
    create(&store, &key("default", "a"), "").await.unwrap();
    store.close();
    assert_eq!(create(&store, &key("default", "b"), "").await, Err(WriteError::Closed));
    assert_eq!(soon(watch.next()).await.unwrap().unwrap().change, Change::Added, "what had happened is still told");
    assert!(soon(watch.next()).await.is_none());
    assert!(store.get(&key("default", "a")).is_some(), "reading goes on");
}

#[tokio::test]
async fn the_latest_change_is_known_by_kind() {
    let store = Store::in_memory();
    let start = store.revision();
    assert_eq!(store.changed(&["configmaps", "secrets"]), start);
    let map = create(&store, &key("default", "a"), "").await.unwrap();
    let secret = create(&store, &Key::new("secrets", "default", "s"), "").await.unwrap();
    assert_eq!(store.changed(&["configmaps"]), map.revision);
    assert_eq!(store.changed(&["configmaps", "secrets"]), secret.revision);
    let gone = delete(&store, &map.key, map.revision).await.unwrap();
    assert_eq!(store.changed(&["configmaps", "pods"]), gone.revision);
}

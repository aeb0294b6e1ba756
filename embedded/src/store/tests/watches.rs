use super::*;
use crate::store::memory::Limits;
use crate::store::{Change, Event, Lagged, TooOld, Watch};

fn told(event: &Event) -> (Change, &str, u64) {
    (event.change, event.object.key.name.as_str(), event.revision)
}

async fn next(watch: &mut Watch) -> Event {
    soon(watch.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_watch_tells_changes_in_order_with_the_state_before() {
    let store = Store::in_memory();
    let mut watch = store.watch("configmaps", None, store.revision()).unwrap();
    let key = key("default", "a");
    let one = create(&store, &key, "1").await.unwrap();
    let two = update(&store, &key, one.revision, "2").await.unwrap();
    let three = delete(&store, &key, two.revision).await.unwrap();

    let event = next(&mut watch).await;
    assert_eq!(told(&event), (Change::Added, "a", one.revision));
    assert_eq!(event.previous, None);
    let event = next(&mut watch).await;
    assert_eq!(told(&event), (Change::Modified, "a", two.revision));
    assert_eq!(event.previous, Some(one));
    let event = next(&mut watch).await;
    assert_eq!(told(&event), (Change::Deleted, "a", three.revision));
    assert_eq!(event.object, three);
    assert_eq!(event.previous, Some(two));
    assert!(watch.try_next().unwrap().is_none());
}

#[tokio::test]
async fn a_watch_begins_after_the_revision_it_names() {
    let store = Store::in_memory();
    let mut revisions = Vec::new();
    for name in ["a", "b", "c"] {
        revisions.push(create(&store, &key("default", name), "").await.unwrap().revision);
    }
    let mut watch = store.watch("configmaps", None, revisions[0]).unwrap();
    assert_eq!(next(&mut watch).await.revision, revisions[1]);
    assert_eq!(next(&mut watch).await.revision, revisions[2]);
}

#[tokio::test]
async fn a_watch_sees_its_own_kind_and_namespace_only() {
    let store = Store::in_memory();
    let from = store.revision();
    let mut one = store.watch("configmaps", Some("one"), from).unwrap();
    let mut all = store.watch("configmaps", None, from).unwrap();
    create(&store, &Key::new("secrets", "one", "s"), "").await.unwrap();
    create(&store, &key("two", "b"), "").await.unwrap();
    create(&store, &key("one", "a"), "").await.unwrap();
    assert_eq!(next(&mut one).await.object.key, key("one", "a"));
    assert!(one.try_next().unwrap().is_none());
    assert_eq!(next(&mut all).await.object.key, key("two", "b"));
    assert_eq!(next(&mut all).await.object.key, key("one", "a"));
}

#[tokio::test]
async fn a_waiting_watch_is_woken() {
    let store = Store::in_memory();
    let mut watch = store.watch("configmaps", None, store.revision()).unwrap();
    let waiting = tokio::spawn(async move { watch.next().await });
    tokio::task::yield_now().await;
    create(&store, &key("default", "a"), "").await.unwrap();
    assert_eq!(soon(waiting).await.unwrap().unwrap().unwrap().object.key.name, "a");
}

#[tokio::test]
async fn giving_up_waiting_loses_no_event() {
    let store = Store::in_memory();
    let mut watch = store.watch("configmaps", None, store.revision()).unwrap();
    for round in 0..20 {
        assert!(futures::poll!(std::pin::pin!(watch.next())).is_pending());
        create(&store, &key("default", &round.to_string()), "").await.unwrap();
        assert_eq!(next(&mut watch).await.object.key.name, round.to_string());
    }
}

#[tokio::test]
async fn every_watch_of_many_sees_every_event_of_many_writers_in_order() {
    let folder = Folder::new();
    let store = Store::open(folder.path()).unwrap();
    let from = store.revision();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let mut watch = store.watch("configmaps", None, from).unwrap();
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                while revisions.len() < 300 {
                    revisions.push(watch.next().await.unwrap().unwrap().revision);
                }
                revisions
            })
        })
        .collect();
    let writers: Vec<_> = (0..10)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for i in 0..30 {
                    create(&store, &key("default", &format!("{writer}-{i}")), "").await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        soon(writer).await.unwrap();
    }
    let all: Vec<u64> = (from + 1..=from + 300).collect();
    for reader in readers {
        assert_eq!(soon(reader).await.unwrap(), all);
    }
}

#[tokio::test]
async fn starting_below_the_oldest_kept_event_is_too_old_and_says_where_one_can_start() {
    let store = Store::in_memory_with(Limits { events: 5, bytes: 1 << 20 });
    let start = store.revision();
    for i in 0..8 {
        create(&store, &key("default", &i.to_string()), "").await.unwrap();
    }
    let oldest = start + 3;
    assert_eq!(store.watch("configmaps", None, start).err(), Some(TooOld { requested: start, oldest }));
    assert_eq!(TooOld { requested: start, oldest }.to_string(), format!("too old resource version: {start} ({oldest})"));
    let mut watch = store.watch("configmaps", None, oldest).unwrap();
    assert_eq!(next(&mut watch).await.revision, oldest + 1);
}

#[tokio::test]
async fn kept_events_are_bounded_in_bytes_too() {
    let store = Store::in_memory_with(Limits { events: 1000, bytes: 40_000 });
    let start = store.revision();
    for i in 0..10 {
        create(&store, &key("default", &i.to_string()), &"x".repeat(9_000)).await.unwrap();
    }
    assert!(store.watch("configmaps", None, start + 5).is_err());
    assert!(store.watch("configmaps", None, start + 6).is_ok(), "four of some 9 kB fit");
}

#[tokio::test]
async fn events_of_one_kind_crowded_out_by_another_do_not_make_its_quiet_watch_fail() {
    let store = Store::in_memory_with(Limits { events: 5, bytes: 1 << 20 });
    create(&store, &key("default", "quiet"), "").await.unwrap();
    let mut watch = store.watch("configmaps", None, store.revision()).unwrap();
    for i in 0..50 {
        create(&store, &Key::new("events", "default", i.to_string()), "").await.unwrap();
    }
    assert!(watch.try_next().unwrap().is_none());
    create(&store, &key("default", "news"), "").await.unwrap();
    assert_eq!(next(&mut watch).await.object.key.name, "news");
}

#[tokio::test]
async fn a_watch_that_does_not_keep_up_is_told_so_once_and_ends() {
    let store = Store::in_memory_with(Limits { events: 5, bytes: 1 << 20 });
    let start = store.revision();
    let mut slow = store.watch("configmaps", None, start).unwrap();
    for i in 0..20 {
        create(&store, &key("default", &i.to_string()), "").await.unwrap();
    }
    assert_eq!(soon(slow.next()).await.unwrap().err(), Some(Lagged { reached: start, oldest: start + 15 }));
    assert!(soon(slow.next()).await.is_none());
}

#[tokio::test]
async fn progress_follows_other_kinds_but_never_passes_an_event_not_yet_taken() {
    let store = Store::in_memory();
    let start = store.revision();
    let mut watch = store.watch("configmaps", None, start).unwrap();
    let other = create(&store, &Key::new("secrets", "default", "s"), "").await.unwrap();
    assert_eq!(watch.revision(), other.revision, "nothing of its own is behind");
    let one = create(&store, &key("default", "a"), "").await.unwrap();
    let two = create(&store, &key("default", "b"), "").await.unwrap();
    assert!(watch.revision() < one.revision);
    assert_eq!(next(&mut watch).await.revision, one.revision);
    assert_eq!(watch.revision(), one.revision);
    assert_eq!(next(&mut watch).await.revision, two.revision);
    let later = create(&store, &Key::new("secrets", "default", "t"), "").await.unwrap();
    assert_eq!(watch.revision(), later.revision);
}

#[tokio::test]
async fn who_takes_only_what_is_there_learns_of_lost_events_too() {
    let store = Store::in_memory_with(Limits { events: 100, bytes: 1 << 20 });
    let mut watch = store.watch("configmaps", None, store.revision()).unwrap();
    for i in 0..90 {
        create(&store, &key("default", &i.to_string()), "").await.unwrap();
    }
    assert!(watch.try_next().unwrap().is_some());
    for i in 90..300 {
        create(&store, &key("default", &i.to_string()), "").await.unwrap();
    }
    let lost = (0..90).find_map(|_| watch.try_next().err());
    assert!(lost.is_some(), "a gap after the events taken before must not look like the end");
    assert!(watch.try_next().unwrap().is_none());
}

//! Packing, putting and fetching: in parts, again, slowly, and while something else is asked.

use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::message::{AnswerResult, Command, FromSystem, Settings};
use protocol::transfer::Output;

use crate::support::store::{Fault, SIGNATURE};
use crate::world::*;

#[tokio::test]
async fn parts_go_on_where_they_stopped_and_failures_say_what_the_store_said() {
    let mut world = World::new(NETWORK).await;
    let elements = world.pack("backup", &["CustomPrompts"]).await;
    let [element] = elements.as_slice() else { panic!("one element") };
    assert!(element.parts >= 3);
    let all: Vec<u32> = (1..=element.parts).collect();
    for (status, code) in [(403, "AccessDenied"), (500, "InternalError"), (507, "")] {
        world.store.fail([Fault::Refuse(status, code)]);
        let (done, failure) = world.order("backup", element, &format!("refused/{status}"), &all).await;
        let failure = failure.unwrap();
        assert!(done.len() < all.len());
        assert_eq!((failure.status, failure.code.as_str()), (Some(status), code), "{failure:?}");
        assert!(!format!("{failure:?}").contains(SIGNATURE));
    }
    world.store.fail([Fault::Break(20_000)]);
    let (done, failure) = world.order("backup", element, "whole", &all).await;
    assert_eq!(failure.unwrap().status, None);
    let left: Vec<u32> = all.iter().copied().filter(|number| !done.contains(number)).collect();
    assert!(!left.is_empty());
    let (more, failure) = world.order("backup", element, "whole", &left).await;
    assert_eq!((more, failure), (left, None));
    let whole = world.store.object("whole");
    assert_eq!(archive::digest::Sha256::of(&whole).to_string(), element.sha256);
    let connections = world.store.connections.load(Ordering::SeqCst);
    for number in all.iter().cycle().take(10) {
        assert_eq!(world.order("backup", element, "again", &[*number]).await, (vec![*number], None));
    }
    assert_eq!(world.store.connections.load(Ordering::SeqCst), connections, "connections are kept");
}

#[tokio::test]
async fn packing_is_not_done_twice_and_survives_a_restart_of_the_program() {
    let mut world = World::new(NETWORK).await;
    let first = world.pack("backup", &["Configuration", "CustomPrompts"]).await;
    let archive = world.site.disk().join("transfer/backup/packed/0000.tar");
    let written = std::fs::metadata(&archive).unwrap().modified().unwrap();
    world.restart_program().await;
    assert_eq!(world.pack("backup", &["Configuration", "CustomPrompts"]).await, first);
    assert_eq!(std::fs::metadata(&archive).unwrap().modified().unwrap(), written);
    world.put("backup", &first[0], "part").await;
    assert_eq!(world.pack("newer", &["CustomPrompts"]).await[0], *first.last().unwrap(), "the same content gives the same bytes");
    assert!(!archive.exists(), "a newer operation takes the place of an older");
    let element = first[0].element.clone();
    let gone = world.ask("backup", Command::DescribeParts { element, first: 1 }).await;
    assert_eq!(reason(&gone), "NotPrepared");
}

#[tokio::test]
async fn a_session_stays_responsive_while_elements_are_packed_and_its_end_does_not_end_them() {
    // Packing takes ten seconds and is answered after four: time enough for another answer before it, and for another session before its end.
    let causes = format!("{NETWORK}faults: {{packingKilobytesPerSecond: 20}}\n");
    let mut world = World::with_slice(&causes, Duration::from_secs(4)).await;
    let slow = world.session.begin("backup", prepare(&["CustomPrompts", "AllVoicemails"], PART)).await;
    let settings = Settings { time_zone: Some("Asia/Tokyo".into()), ..Settings::default() };
    let answer = world.session.configure("other", settings).await;
    assert!(matches!(answer.result, AnswerResult::Done { .. }), "answered before the {slow}th request");
    let Some(FromSystem::Answer(progress)) = world.next().await else { panic!("an answer comes in time") };
    let AnswerResult::Done { output: Some(Output::InProgress { total, .. }), .. } = progress.result else { panic!("{progress:?}") };
    assert!(total > 100_000);
    world.site.subscription("enrolmentCode", "another");
    world.again().await;
    world.site.logged("elements packed").await;
    let elements = world.pack("backup", &["CustomPrompts", "AllVoicemails"]).await;
    assert_eq!(elements.len(), 2);
    assert_eq!(world.site.log().matches("elements packed").count(), 1, "packed once");
}

#[tokio::test]
async fn a_fetch_goes_on_where_it_stopped_also_after_a_restart_of_the_program() {
    let mut world = World::new(NETWORK).await;
    let elements = world.backup("backup", &["AllVoicemails"]).await;
    let element = &elements[0];
    world.store.fail([Fault::Break(40_000)]);
    let stopped = world.fetch("restore", element, &key(0)).await;
    assert!(matches!(stopped, AnswerResult::Done { output: Some(Output::FetchStopped { .. }), .. }), "{stopped:?}");
    world.restart_program().await;
    world.store.fail([Fault::Refuse(403, "AccessDenied")]);
    let refused = world.fetch("restore", element, &key(0)).await;
    let AnswerResult::Done { output: Some(Output::FetchStopped { failure }), .. } = refused else { panic!("{refused:?}") };
    assert_eq!((failure.status, failure.code.as_str()), (Some(403), "AccessDenied"));
    world.fetch_all("restore", &elements).await;
    let ranges: Vec<_> = world
        .store
        .content
        .lock()
        .unwrap()
        .requests
        .iter()
        .filter(|(method, ..)| method == "GET")
        .map(|(.., range)| range.clone())
        .collect();
    let [None, Some(second), Some(third)] = ranges.as_slice() else { panic!("{ranges:?}") };
    assert_eq!(second, third, "what came before a restart counts");
    world.fetch_all("restore", &elements).await;
    assert_eq!(world.store.requests("GET"), 3, "what is fetched is not fetched again");
    world.store.content.lock().unwrap().wrong_ranges = true;
    world.store.fail([Fault::Break(40_000)]);
    world.fetch("other", element, &key(0)).await;
    let stopped = world.fetch("other", element, &key(0)).await;
    let AnswerResult::Done { output: Some(Output::FetchStopped { failure }), .. } = stopped else { panic!("{stopped:?}") };
    assert!(failure.message.contains("another range"), "{failure:?}");
    world.store.content.lock().unwrap().no_ranges = true;
    world.fetch_all("other", &elements).await;
}

#[tokio::test]
async fn transfers_that_break_off_once_or_carry_other_bytes_are_told_and_go_on() {
    let mut world = World::new(&format!("{NETWORK}faults: {{transfers: {{break: {{afterKilobytes: 60, token: one}}}}}}\n")).await;
    let elements = world.pack_in("backup", &["AllVoicemails"], 1_000_000).await;
    let (done, failure) = world.order("backup", &elements[0], "part", &[1]).await;
    assert!(done.is_empty() && failure.unwrap().message.contains("broke"));
    let corrupt = format!("{NETWORK}faults: {{transfers: {{corrupt: true}}}}\n");
    world.put("backup", &elements[0], &key(0)).await;
    world.set(&corrupt).await;
    let (done, failure) = world.order("backup", &elements[0], "corrupt", &[1]).await;
    assert_eq!((done.len(), failure.unwrap().code.as_str()), (0, "BadDigest"));
    world.set(&format!("{NETWORK}faults: {{transfers: {{break: {{afterKilobytes: 60}}}}}}\n")).await;
    let mut orders = 0;
    while matches!(
        world.fetch("restore", &elements[0], &key(0)).await,
        AnswerResult::Done { output: Some(Output::FetchStopped { .. }), .. }
    ) {
        orders += 1;
    }
    assert!(orders >= 1, "each order brings it some way");
    world.fetch_all("restore", &elements).await;
}

#[tokio::test]
async fn a_slow_upload_goes_on_between_orders_and_puts_no_part_twice() {
    let mut world = World::new(&format!("{NETWORK}faults: {{transfers: {{kilobytesPerSecond: 60}}}}\n")).await;
    let elements = world.pack("backup", &["CustomPrompts"]).await;
    let mut left: Vec<u32> = (1..=elements[0].parts).collect();
    let mut orders = 0;
    while !left.is_empty() {
        let (done, failure) = world.order("backup", &elements[0], "slow", &left).await;
        assert_eq!(failure, None, "only its time was up");
        left.retain(|number| !done.contains(number));
        orders += 1;
    }
    assert!(orders > 1, "it took longer than an answer may");
    assert_eq!(world.store.requests("PUT"), elements[0].parts as usize);
    world.set(&format!("{NETWORK}faults: {{transfers: {{kilobytesPerSecond: 30}}}}\n")).await;
    let large = world.pack_in("large", &["CustomPrompts"], 1_000_000).await;
    let order = world.store.part("large", 1, &large[0].sha256);
    let command = Command::UploadParts { element: large[0].element.clone(), parts: vec![order], authority: world.store.authority() };
    let answer = world.session.ask("large", command.clone()).await;
    assert!(matches!(answer, AnswerResult::Done { output: Some(Output::InProgress { .. }), .. }), "a part is under way: {answer:?}");
    let answer = world.ask("large", command).await;
    assert!(matches!(answer, AnswerResult::Done { output: Some(Output::Uploaded { failure: None, .. }), .. }), "{answer:?}");
}

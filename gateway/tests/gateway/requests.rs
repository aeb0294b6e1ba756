//! Requests to a system: answered, refused, late, too many, interrupted.

use std::time::Duration;

use model::switches::RemoteOperations;
use protocol::link::{Done, LinkError};
use protocol::message::{Command, FromGateway, Request, Settings};
use serde_json::json;

use crate::client::Session;
use crate::world::{World, key, soon};

fn configure() -> Command {
    Command::Configure(Settings { remote_operations: Some(RemoteOperations::ALL), ..Settings::default() })
}

fn ask(world: &World, operation: &'static str) -> tokio::task::JoinHandle<Result<Done, LinkError>> {
    let link = world.link.clone();
    tokio::spawn(async move { link.request(&key("hq"), operation, configure()).await })
}

async fn request(session: &mut Session) -> Request {
    match session.next().await {
        FromGateway::Request(request) => request,
        other => panic!("{other:?} is no request"),
    }
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let mut session = world.connected(&credential, 1).await;
    let first = ask(&world, "one");
    let one = request(&mut session).await;
    let second = ask(&world, "two");
    let two = request(&mut session).await;
    assert_eq!((one.operation.as_str(), two.operation.as_str(), one.command), ("one", "two", configure()));
    session.say(&json!({"type": "answer", "id": 999, "result": "done", "configurationRevision": 1})).await;
    session.say(&json!({"type": "answer", "id": two.id, "result": "failed", "reason": "DiskFull", "message": "no room"})).await;
    session.say(&json!({"type": "answer", "id": one.id, "result": "done", "configurationRevision": 4})).await;
    assert_eq!(soon(first).await.unwrap(), Ok(Done { configuration_revision: 4, output: None }));
    assert_eq!(soon(second).await.unwrap(), Err(LinkError::Refused { reason: "DiskFull".into(), message: "no room".into() }));
}

#[tokio::test]
async fn without_a_session_nothing_can_be_asked() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    assert_eq!(soon(ask(&world, "one")).await.unwrap(), Err(LinkError::NotConnected));
    world.directory.set_password(&key("hq"), "right");
    let _undecided = Session::open(&world, &credential, 1).await;
    assert_eq!(soon(ask(&world, "one")).await.unwrap(), Err(LinkError::NotConnected));
}

#[tokio::test]
async fn a_request_is_interrupted_when_its_session_ends() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let mut session = world.connected(&credential, 1).await;
    let asked = ask(&world, "one");
    request(&mut session).await;
    drop(session);
    assert_eq!(soon(asked).await.unwrap(), Err(LinkError::Interrupted));
    let mut session = world.connected(&credential, 2).await;
    let asked = ask(&world, "one");
    request(&mut session).await;
    let _newer = world.connected(&credential, 3).await;
    assert_eq!(soon(asked).await.unwrap(), Err(LinkError::Interrupted));
}

#[tokio::test]
async fn no_answer_in_time_is_said_and_makes_room() {
    let world = World::with(|options| {
        options.times.request_timeout = Duration::from_millis(100);
        options.limits.requests_in_flight = 1;
    })
    .await;
    let credential = world.enrolled("hq").await;
    let mut session = world.connected(&credential, 1).await;
    for operation in ["one", "two"] {
        let asked = ask(&world, operation);
        request(&mut session).await;
        assert_eq!(soon(asked).await.unwrap(), Err(LinkError::TimedOut));
    }
}

#[tokio::test]
async fn more_requests_than_a_system_is_given_at_a_time_are_turned_away() {
    let world = World::with(|options| options.limits.requests_in_flight = 2).await;
    let credential = world.enrolled("hq").await;
    let mut session = world.connected(&credential, 1).await;
    let (first, second) = (ask(&world, "one"), ask(&world, "two"));
    let one = request(&mut session).await;
    assert_eq!(one.operation, "one");
    request(&mut session).await;
    assert_eq!(soon(ask(&world, "three")).await.unwrap(), Err(LinkError::Busy));
    session.say(&json!({"type": "answer", "id": one.id, "result": "done", "configurationRevision": 1})).await;
    assert_eq!(soon(first).await.unwrap(), Ok(Done { configuration_revision: 1, output: None }));
    assert!(!second.is_finished());
    let next = ask(&world, "four");
    assert_eq!(request(&mut session).await.operation, "four");
    next.abort();
}

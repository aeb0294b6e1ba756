//! One bad system never stops the others.

use model::connectivity::Absence;
use protocol::LARGEST_MESSAGE;
use protocol::link::SessionState;
use protocol::message::CloseReason;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Session, facts, hello};
use crate::world::World;

/// Says something bad in a session that stands, and checks that it ends as it should and that another system does not notice.
async fn ends(bad: impl AsyncFnOnce(&mut Session), reason: CloseReason, words: &str, absence: Absence) {
    let world = World::new().await;
    let (credential, other) = (world.enrolled("hq").await, world.enrolled("branch").await);
    let mut neighbour = Session::open(&world, &other, 1).await;
    let mut session = world.connected(&credential, 1).await;
    bad(&mut session).await;
    let (seen, message) = session.closes().await;
    assert!(seen == reason && message.contains(words), "{seen:?}: {message}");
    world.view_becomes("hq", |view| view.state == SessionState::Away(absence)).await;
    let mut report: Value = facts("Still Here");
    report["type"] = json!("report");
    neighbour.say(&report).await;
    world.view_becomes("branch", |view| view.facts.system_name == "Still Here").await;
    world.connected(&credential, 2).await;
}

#[tokio::test]
async fn text_that_is_no_message_ends_its_session() {
    ends(async |session| session.say_text("{".into()).await, CloseReason::Malformed, "could not be read", Absence::Unrecognised).await;
    let unknown = async |session: &mut Session| session.say(&json!({"type": "nonsense"})).await;
    ends(unknown, CloseReason::Malformed, "nonsense", Absence::Unrecognised).await;
}

#[tokio::test]
async fn a_binary_message_ends_its_session() {
    let binary = async |session: &mut Session| session.send(Message::binary(vec![1, 2, 3])).await;
    ends(binary, CloseReason::Malformed, "binary", Absence::Unrecognised).await;
}

#[tokio::test]
async fn a_second_hello_ends_its_session() {
    ends(async |session| session.say(&hello("hq", 2)).await, CloseReason::Malformed, "second hello", Absence::Unrecognised).await;
}

#[tokio::test]
async fn a_message_too_large_ends_its_session_before_it_is_read_whole() {
    let large = async |session: &mut Session| session.say_text(" ".repeat(LARGEST_MESSAGE + 1)).await;
    ends(large, CloseReason::TooLarge, "at most 262144", Absence::Offline).await;
}

#[tokio::test]
async fn a_field_too_long_ends_its_session() {
    let mut report = facts(&"x".repeat(65));
    report["type"] = json!("report");
    ends(async |session| session.say(&report).await, CloseReason::Malformed, "systemName", Absence::Unrecognised).await;
}

#[tokio::test]
async fn a_flood_ends_its_session() {
    let flood = async |session: &mut Session| {
        for id in 0..400 {
            session.say(&json!({"type": "answer", "id": id, "result": "done", "configurationRevision": 1})).await;
        }
    };
    ends(flood, CloseReason::TooManyMessages, "send the next one after", Absence::Offline).await;
}

#[tokio::test]
async fn a_flood_of_large_messages_ends_sooner() {
    let mut report = facts("HQ");
    (report["type"], report["padding"]) = (json!("report"), json!("x".repeat(LARGEST_MESSAGE - 2000)));
    let flood = async |session: &mut Session| {
        for _ in 0..40 {
            session.say(&report).await;
        }
    };
    ends(flood, CloseReason::TooManyMessages, "send the next one after", Absence::Offline).await;
}

#[tokio::test]
async fn a_version_that_is_not_spoken_is_told_which_are() {
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    for version in [0, 2, 4_000_000_000_000_u64] {
        let mut session = Session::dial(&world, &credential).await.unwrap();
        session.say(&json!({"type": "hello", "protocol": version, "written": "in another way"})).await;
        let (reason, message) = session.closes().await;
        assert!(reason == CloseReason::UnsupportedVersion && message.contains("versions 1 to 1"), "{reason:?} {message}");
    }
    assert_eq!(world.metric("session_ends_total", "unsupported_version") as u64, 3);
    world.connected(&credential, 1).await;
}

#[tokio::test]
async fn requests_with_endless_headers_or_a_foreign_subprotocol_are_refused() {
    use crate::client::{HOME, dial};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    let credential = world.enrolled("hq").await;
    let mut stream = dial(&world, Some(&credential), HOME).await.unwrap();
    let head = format!("GET /v1/session HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = String::new();
    let _ = crate::world::soon(stream.read_to_string(&mut answer)).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let mut stream = dial(&world, Some(&credential), HOME).await.unwrap();
    let head = "GET /v1/session HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, switchboard.v9\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = String::new();
    let _ = crate::world::soon(stream.read_to_string(&mut answer)).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("unsupportedVersion"), "{answer}");
}

//! The gateway of an earlier version is answered as it was then, and its backups are restored: `tests/fixtures/README.md` says what was recorded.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::account::SignInOutcome;
use protocol::message::FromSystem;
use serde_json::Value;
use support::gateway::TestGateway;
use support::session::TestSession;
use support::store::TestStore;
use support::{Site, soon};

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

/// The recorded sessions, each a list of messages under the name of who said it.
fn sessions(folder: &Path) -> Vec<Vec<Value>> {
    let text = std::fs::read_to_string(folder.join("sessions.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.split(|line| line.get("connected").is_some()).skip(1).map(<[Value]>::to_vec).collect()
}

/// Whether a message of now has every field of the recorded one, and the same words for what happened. Numbers, digests and times may be others.
fn alike(recorded: &Value, now: &Value) -> bool {
    match (recorded, now) {
        (Value::Object(recorded), Value::Object(now)) => recorded.iter().all(|(name, value)| {
            let same_word =
                !["type", "result", "output", "outcome", "element", "reason"].contains(&name.as_str()) || now.get(name) == Some(value);
            same_word && now.get(name).is_some_and(|other| alike(value, other))
        }),
        (Value::Array(recorded), Value::Array(now)) => {
            recorded.len() == now.len() && recorded.iter().zip(now).all(|(one, other)| alike(one, other))
        }
        _ => true,
    }
}

/// The next message of the system as JSON.
async fn next(session: &mut TestSession) -> Value {
    serde_json::to_value(session.next().await.expect("the system left")).unwrap()
}

/// Says what the gateway said then, and demands the answers of then.
struct Replay {
    store: TestStore,
    /// Digest of the first part of each element, as the system of today packed it.
    packed: BTreeMap<String, String>,
}

impl Replay {
    async fn session(&mut self, session: &mut TestSession, recorded: &[Value]) {
        let hello = next(session).await;
        assert!(alike(&recorded[0]["system"], &hello), "then {}\nnow {hello}", recorded[0]["system"]);
        assert_eq!(hello["facts"]["lastRestore"].get("failure"), None, "{hello}");
        session.send_text(&recorded[1]["gateway"].to_string()).await;
        assert!(matches!(session.sign_in("Correct-Horse-7").await, SignInOutcome::Accepted { .. }));
        for (at, line) in recorded.iter().enumerate() {
            if line["gateway"]["type"] == "request" {
                let id = &line["gateway"]["id"];
                let answer = recorded[at..].iter().find(|line| line["system"]["type"] == "answer" && line["system"]["id"] == *id).unwrap();
                self.request(session, &line["gateway"], &answer["system"]).await;
            }
        }
    }

    async fn request(&mut self, session: &mut TestSession, asked: &Value, answered: &Value) {
        let mut asked = asked.clone();
        let element = asked["command"]["element"].as_str().unwrap_or_default().to_owned();
        if asked["command"].get("authority").is_some() {
            asked["command"]["authority"] = serde_json::to_value(self.store.authority()).unwrap();
        }
        match asked["command"]["command"].as_str().unwrap() {
            "uploadParts" => {
                asked["command"]["parts"] = serde_json::to_value([self.store.part(&element, 1, &self.packed[&element])]).unwrap();
            }
            "fetchElement" => asked["command"]["request"] = serde_json::to_value(self.store.get(&key(&element))).unwrap(),
            _ => {}
        }
        let now = self.answer(session, &asked).await;
        assert!(alike(answered, &now), "asked {asked}\nthen {answered}\nnow {now}");
        if now["output"] == "parts" {
            self.packed.insert(element, now["parts"][0]["sha256"].as_str().unwrap().to_owned());
        }
    }

    /// Asks again until it is no longer in progress.
    async fn answer(&self, session: &mut TestSession, asked: &Value) -> Value {
        session.send_text(&asked.to_string()).await;
        loop {
            let now = next(session).await;
            match (now["type"].as_str(), now["output"].as_str()) {
                (Some("answer"), Some("inProgress")) => session.send_text(&asked.to_string()).await,
                (Some("answer"), _) if now["id"] == asked["id"] => return now,
                (Some("report"), _) => {}
                _ => panic!("asked {asked}, the system said {now}"),
            }
        }
    }
}

/// Where the archive of an element is kept in the store.
fn key(element: &str) -> String {
    element.replace('/', "-")
}

/// Name, and bytes of then, of each element of the recorded backup.
fn elements(folder: &Path, sessions: &[Vec<Value>]) -> Vec<(String, Vec<u8>)> {
    let packed = sessions.iter().flatten().find(|line| line["system"]["output"] == "packed").unwrap();
    let names = packed["system"]["elements"].as_array().unwrap().iter().map(|element| element["element"].as_str().unwrap().to_owned());
    names.enumerate().map(|(at, name)| (name, std::fs::read(folder.join(format!("elements/{:02}.tar", at + 1))).unwrap())).collect()
}

#[tokio::test]
async fn the_gateway_of_an_earlier_version_signs_in_configures_backs_up_and_restores_what_was_backed_up_then() {
    for folder in fixtures() {
        let sessions = sessions(&folder);
        let mut gateway = TestGateway::start().await;
        let mut replay = Replay { store: TestStore::start().await, packed: BTreeMap::new() };
        for (name, bytes) in elements(&folder, &sessions) {
            replay.store.keep(&key(&name), bytes);
        }
        let mut site = Site::new(&gateway, &std::fs::read_to_string(folder.join("causes.yaml")).unwrap());
        site.subscription("systemId", "branch");
        std::fs::write(site.path("passwords/password"), "Correct-Horse-7").unwrap();
        site.start();
        for (number, recorded) in sessions.iter().enumerate() {
            let mut session = gateway.session().await;
            replay.session(&mut session, recorded).await;
            if number + 1 < sessions.len() {
                let left = soon("the restart", async { session.next().await }).await;
                assert!(matches!(left, Some(FromSystem::Goodbye { .. })), "{left:?}");
            }
        }
        site.stop().await;
    }
}

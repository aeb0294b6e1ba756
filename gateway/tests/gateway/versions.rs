//! Sessions recorded with earlier versions of the protocol are accepted as long as those versions are.

use std::path::PathBuf;

use model::connectivity::Absence;
use model::secret::Secret;
use protocol::link::SessionState;
use protocol::message::{Command, FromGateway, Settings};
use protocol::scram::{ClientFirst, Server, Verifier};
use protocol::{OLDEST_VERSION, VERSION};
use serde_json::{Value, json};

use crate::client::{Credential, Session};
use crate::world::{World, key};

fn fixtures(version: u32) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../protocol/fixtures/v{version}"));
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Whether everything that was recorded is there again, with the same value. What was added since may be there too.
fn holds(recorded: &Value, now: &Value) -> bool {
    match (recorded, now) {
        (Value::Object(recorded), Value::Object(now)) => {
            recorded.iter().all(|(name, value)| value == "<any>" || now.get(name).is_some_and(|other| holds(value, other)))
        }
        _ => recorded == now,
    }
}

/// Plays a recorded session: says what the system said, and expects what the gateway said. SCRAM values are computed anew (`<scram>`).
async fn play(world: &World, credential: &Credential, lines: &str) {
    let mut session = Session::dial(world, credential).await.unwrap();
    let mut server: Option<Server> = None;
    let mut client_first = None;
    let mut proof = None;
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if let Some(asked) = line.get("ask") {
            let settings: Settings = serde_json::from_value(asked.clone()).unwrap();
            let link = world.link.clone();
            world.view_becomes("hq", |view| matches!(view.state, SessionState::Connected { .. })).await;
            tokio::spawn(async move { link.request(&key("hq"), "0b7f5f0e", Command::Configure(settings)).await });
        } else if let Some(said) = line.get("system") {
            let mut said = said.clone();
            match said["type"].as_str().unwrap() {
                "challenge" => {
                    let verifier = Verifier::with_salt(&Secret::new("right"), b"salt", 4096);
                    let (started, challenge) = Server::start(client_first.take().unwrap(), verifier);
                    (server, said["scram"]) = (Some(started), json!(challenge));
                }
                "signInResult" if said["scram"] == "<scram>" => {
                    let proof: String = proof.take().unwrap();
                    said["scram"] = json!(server.take().unwrap().verify(&proof).unwrap());
                }
                _ => {}
            }
            session.say(&said).await;
        } else {
            let now = session.next().await;
            let text = serde_json::to_value(&now).unwrap();
            assert!(holds(&line["gateway"], &text), "recorded {}\nnow {text}", line["gateway"]);
            match now {
                FromGateway::SignIn { scram } => client_first = Some(ClientFirst::parse(&scram).unwrap()),
                FromGateway::Proof { scram } => proof = Some(scram),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn recorded_sessions_of_every_accepted_version_are_still_served() {
    for version in OLDEST_VERSION..=VERSION {
        for file in fixtures(version) {
            let world = World::new().await;
            world.directory.set_password(&key("hq"), "right");
            let credential = world.enrolled("hq").await;
            play(&world, &credential, &std::fs::read_to_string(&file).unwrap()).await;
            let view = world.view_becomes("hq", |view| matches!(view.state, SessionState::Away(_))).await;
            assert_eq!(view.state, SessionState::Away(Absence::RebootingForChange), "{}", file.display());
            assert_eq!(world.metric("session_ends_total", "goodbye") as u64, 1);
        }
    }
}

//! A system of an earlier version: it answers the gateway with what was recorded (`tests/fixtures/`), and moves the bytes of its backup for real.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use model::secret::Secret;
use protocol::scram::{ClientFirst, Server, Verifier};
use serde_json::{Value, json};

use crate::dialer::{Credential, Session, Subscription};
use crate::folder::Folder;

/// Fixtures of one version.
pub struct Fixture {
    /// Its folder.
    pub folder: PathBuf,
}

impl Fixture {
    /// All there are, the oldest first.
    ///
    /// # Panics
    /// There are none.
    pub fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        assert!(!folders.is_empty(), "there are no fixtures in {}", root.display());
        folders.into_iter().map(|folder| Self { folder }).collect()
    }

    /// The objects as that version showed them.
    pub fn objects(&self) -> Vec<Value> {
        serde_json::from_slice(&std::fs::read(self.folder.join("objects.json")).unwrap()).unwrap()
    }

    /// Its data folder, as a folder of a test's own.
    ///
    /// # Panics
    /// It cannot be unpacked.
    pub fn unpack(&self) -> Folder {
        let folder = Folder::new();
        let status = Command::new("tar").arg("-xJf").arg(self.folder.join("data.tar.xz")).arg("-C").arg(folder.path()).status().unwrap();
        assert!(status.success(), "the data folder cannot be unpacked");
        folder
    }

    /// The recorded sessions, each a list of messages under the name of who said it.
    pub fn sessions(&self) -> Vec<Vec<Value>> {
        let text = std::fs::read_to_string(self.folder.join("sessions.jsonl")).unwrap();
        let mut sessions: Vec<Vec<Value>> = Vec::new();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            match sessions.last_mut() {
                _ if line.get("connected").is_some() => sessions.push(Vec::new()),
                Some(session) => session.push(line),
                None => panic!("a message before the first session: {line}"),
            }
        }
        sessions
    }
}

/// What a request is about: the same key, the same answer.
fn key(request: &Value) -> (String, String) {
    let command = &request["command"];
    (command["command"].as_str().unwrap_or_default().to_owned(), command["element"].as_str().unwrap_or_default().to_owned())
}

/// The names of all fields of a message, without its values.
fn shape(value: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, inner) in value.as_object().into_iter().flatten() {
        names.insert(name.clone());
        names.extend(shape(inner).into_iter().map(|inner| format!("{name}.{inner}")));
    }
    names
}

/// The system of a recording, connected to a gateway of today.
pub struct RecordedSystem {
    subscription: Subscription,
    credential: Credential,
    sessions: Vec<Vec<Value>>,
    elements: Vec<(String, PathBuf)>,
    password: Secret,
    scratch: Folder,
    /// The restore that was put into use: operation, and id of the backup.
    applied: Option<(String, String)>,
}

impl RecordedSystem {
    /// The system `branch` of a fixture.
    ///
    /// # Panics
    /// The recording is not one.
    pub fn new(fixture: &Fixture, subscription: Subscription, credential: Credential, password: &str) -> Self {
        let sessions = fixture.sessions();
        let packed = sessions.iter().flatten().find(|line| line["system"]["output"] == "packed").expect("a backup was recorded");
        let names = packed["system"]["elements"].as_array().unwrap();
        let named = |(number, element): (usize, &Value)| {
            let file = fixture.folder.join(format!("elements/{:02}.tar", number + 1));
            (element["element"].as_str().unwrap().to_owned(), file)
        };
        let elements = names.iter().enumerate().map(named).collect();
        let password = Secret::new(password);
        Self { subscription, credential, sessions, elements, password, scratch: Folder::new(), applied: None }
    }

    /// Connects as often as was recorded, and answers until the gateway ends the last session.
    pub async fn run(mut self) {
        for number in 0..self.sessions.len() {
            let mut session = self.subscription.session(&self.credential).await;
            self.serve(&mut session, number).await;
        }
    }

    /// One session, until either side leaves.
    async fn serve(&mut self, session: &mut Session, number: usize) {
        let mut hello = self.sessions[number][0]["system"].clone();
        assert_eq!(hello["type"], "hello");
        if let (Some((operation, backup)), Some(last)) = (&self.applied, hello["facts"].get_mut("lastRestore")) {
            (last["operation"], last["backupId"]) = (json!(operation), json!(backup));
        }
        session.say(hello.to_string()).await;
        let mut sign_in = None;
        while let Some(message) = session.next().await {
            match message["type"].as_str().unwrap() {
                "welcome" => self.check(number, &message),
                "signIn" => {
                    self.check(number, &message);
                    let first = ClientFirst::parse(message["scram"].as_str().unwrap()).unwrap();
                    let (server, challenge) = Server::start(first, Verifier::with_salt(&self.password, b"salt", 4096));
                    sign_in = Some(server);
                    session.say(json!({"type": "challenge", "scram": challenge}).to_string()).await;
                }
                "proof" => {
                    let proof = sign_in.take().unwrap().verify(message["scram"].as_str().unwrap()).expect("the gateway knows the password");
                    let mut result = self.said(number, "signInResult");
                    result["scram"] = json!(proof);
                    session.say(result.to_string()).await;
                }
                "request" => {
                    if self.answer(session, number, &message).await {
                        return;
                    }
                }
                "close" => return,
                other => panic!("a message that version did not know: {other}"),
            }
        }
    }

    /// The first message of a type that the system said in a session.
    fn said(&self, number: usize, kind: &str) -> Value {
        let found = self.sessions[number].iter().find(|line| line["system"]["type"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} was recorded"))["system"].clone()
    }

    /// Everything that the gateway said then is in what it says now.
    fn check(&self, number: usize, message: &Value) {
        let recorded = self.sessions[number].iter().find(|line| line["gateway"]["type"] == message["type"]).unwrap();
        let (then, now) = (shape(&recorded["gateway"]), shape(message));
        assert!(then.is_subset(&now), "the system needs {then:?} and gets {now:?}");
    }

    /// Answers a request, and says what the system said next of itself. Whether it left after it.
    async fn answer(&mut self, session: &mut Session, number: usize, request: &Value) -> bool {
        let asked = |line: &Value| line["gateway"]["type"] == "request" && key(&line["gateway"]) == key(request);
        let order: Vec<usize> = std::iter::once(number).chain(0..self.sessions.len()).collect();
        let (at, position) = order
            .into_iter()
            .find_map(|each| self.sessions[each].iter().position(asked).map(|position| (each, position)))
            .unwrap_or_else(|| panic!("that version was never asked for {request}"));
        let recorded = &self.sessions[at][position]["gateway"];
        let (then, now) = (shape(recorded), shape(request));
        assert!(then.is_subset(&now), "the system needs {then:?} and gets {now:?}");
        let id = recorded["id"].clone();
        self.transfer(request);
        let rest: Vec<Value> = self.sessions[at][position + 1..].to_vec();
        let answer =
            rest.iter().position(|line| line["system"]["type"] == "answer" && line["system"]["id"] == id).expect("it was answered");
        let mut said = rest[answer]["system"].clone();
        said["id"] = request["id"].clone();
        session.say(said.to_string()).await;
        for line in rest[answer + 1..].iter().map_while(|line| line.get("system")) {
            match (line["type"].as_str(), line["reason"].as_str()) {
                // The end of the recording is not the end of the test.
                (Some("goodbye"), Some("shutdown")) => {}
                (Some("goodbye"), _) => {
                    session.say(line.to_string()).await;
                    return true;
                }
                _ => session.say(line.to_string()).await,
            }
        }
        false
    }

    /// Moves the bytes that a request is about.
    fn transfer(&mut self, request: &Value) {
        let command = &request["command"];
        let authority = self.scratch.path().join("authority.pem");
        std::fs::write(&authority, command["authority"].as_str().unwrap_or_default()).unwrap();
        match command["command"].as_str().unwrap() {
            "uploadParts" => {
                for part in command["parts"].as_array().unwrap() {
                    assert_eq!(part["number"], 1, "each element of the recording is one part");
                    let file = self.element(command);
                    curl(&part["request"], &authority, &["--upload-file", file.to_str().unwrap()]);
                }
            }
            "fetchElement" => {
                let fetched = self.scratch.path().join("fetched.tar");
                curl(&command["request"], &authority, &["--output", fetched.to_str().unwrap()]);
                let (fetched, kept) = (std::fs::read(&fetched).unwrap(), std::fs::read(self.element(command)).unwrap());
                assert!(fetched == kept, "{} came back as other bytes", command["element"]);
            }
            "applyRestore" => {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                self.applied = Some((text(&request["operation"]), text(&command["backupId"])));
            }
            _ => {}
        }
    }

    fn element(&self, command: &Value) -> PathBuf {
        let found = self.elements.iter().find(|(name, _)| command["element"] == name.as_str());
        found.unwrap_or_else(|| panic!("no such element was recorded: {}", command["element"])).1.clone()
    }
}

/// Makes a presigned request, as the protocol wants it: method, URL and headers as they are.
fn curl(request: &Value, authority: &Path, more: &[&str]) {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail-with-body", "--max-time", "60", "--request"])
        .arg(request["method"].as_str().unwrap());
    command.arg("--cacert").arg(authority).args(more);
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        command.arg("--header").arg(format!("{name}: {}", value.as_str().unwrap()));
    }
    let output = command.arg(request["url"].as_str().unwrap()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the store refused: {said}");
}

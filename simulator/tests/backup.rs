//! A whole system makes backups and takes restores, against a gateway and an object store of the tests' own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::message::{AnswerResult, Command, Departure, Facts, FromSystem, Settings};
use protocol::transfer::{ElementChanges, Output, PackedElement, PartDigest, StoreFailure};
use support::gateway::TestGateway;
use support::session::TestSession;
use support::store::{Fault, SIGNATURE, TestStore};
use support::{Site, USER, soon};

/// A Server Edition network whose application server joins, with the switch on.
const NETWORK: &str = "
profile: Server Edition
serviceUsers:
- {name: COMAdmin, passwordSecretKey: com}
- {name: Adjunct Server, passwordSecretKey: com}
remoteOperations: {remoteUpgradeBackup: true}
voicemailBackup: {selectiveMailboxes: true, mailboxes: ['201', '203', '999']}
logging: {linesPerMinute: 0}
restore: {outageSeconds: 0}
servers:
- {name: HQ, role: Primary}
- {name: 'North/South', role: Expansion}
- {name: apps, role: ApplicationServer}
";
const PART: u64 = 30_000;

struct World {
    gateway: TestGateway,
    store: TestStore,
    site: Site,
    session: TestSession,
    facts: Facts,
    changes: u32,
}

impl World {
    async fn new(causes: &str) -> Self {
        let mut gateway = TestGateway::start().await;
        let store = TestStore::start().await;
        let mut site = Site::new(&gateway, causes);
        site.options.work_slice = Duration::from_millis(400);
        site.start();
        let (session, facts) = signed_in(&mut gateway).await;
        Self { gateway, store, site, session, facts, changes: 0 }
    }

    /// Takes the next session, after a restart.
    async fn again(&mut self) {
        (self.session, self.facts) = signed_in(&mut self.gateway).await;
    }

    async fn restart_program(&mut self) {
        self.site.stop().await;
        self.site.start();
        self.again().await;
    }

    async fn ask(&mut self, operation: &str, command: Command) -> AnswerResult {
        self.session.finish(operation, command).await
    }

    async fn pack(&mut self, operation: &str, selections: &[&str]) -> Vec<PackedElement> {
        self.pack_in(operation, selections, PART).await
    }

    async fn pack_in(&mut self, operation: &str, selections: &[&str], part_size: u64) -> Vec<PackedElement> {
        match self.ask(operation, prepare(selections, part_size)).await {
            AnswerResult::Done { output: Some(Output::Packed { elements, .. }), .. } => elements,
            other => panic!("not packed: {other:?}"),
        }
    }

    async fn parts(&mut self, operation: &str, element: &PackedElement) -> Vec<PartDigest> {
        let command = Command::DescribeParts { element: element.element.clone(), first: 1 };
        match self.ask(operation, command).await {
            AnswerResult::Done { output: Some(Output::Parts { parts }), .. } => parts,
            other => panic!("not described: {other:?}"),
        }
    }

    /// Orders parts once and gives those that were put.
    async fn order(&mut self, operation: &str, element: &PackedElement, key: &str, numbers: &[u32]) -> (Vec<u32>, Option<StoreFailure>) {
        let digests = self.parts(operation, element).await;
        let parts = numbers.iter().map(|number| self.store.part(key, *number, &digests[*number as usize - 1].sha256)).collect();
        let command = Command::UploadParts { element: element.element.clone(), parts, authority: self.store.authority() };
        match self.ask(operation, command).await {
            AnswerResult::Done { output: Some(Output::Uploaded { parts, failure }), .. } => (parts, failure),
            other => panic!("not put: {other:?}"),
        }
    }

    /// Puts an element, part for part, as often as it takes.
    async fn put(&mut self, operation: &str, element: &PackedElement, key: &str) {
        let mut left: Vec<u32> = (1..=element.parts).collect();
        while !left.is_empty() {
            let (done, _) = self.order(operation, element, key, &left).await;
            left.retain(|number| !done.contains(number));
        }
        self.store.keep(key, self.store.object(key));
    }

    /// A backup of everything that is selected: elements, each under the key of its number.
    async fn backup(&mut self, operation: &str, selections: &[&str]) -> Vec<PackedElement> {
        let elements = self.pack(operation, selections).await;
        for (number, element) in elements.iter().enumerate() {
            self.put(operation, element, &key(number)).await;
        }
        let ended = self.ask(operation, Command::EndOperation).await;
        assert!(matches!(ended, AnswerResult::Done { .. }), "{ended:?}");
        elements
    }

    async fn fetch(&mut self, operation: &str, element: &PackedElement, key: &str) -> AnswerResult {
        let command = Command::FetchElement {
            element: element.element.clone(),
            size: element.size,
            sha256: element.sha256.clone(),
            request: self.store.get(key),
            authority: self.store.authority(),
        };
        self.ask(operation, command).await
    }

    async fn fetch_all(&mut self, operation: &str, elements: &[PackedElement]) {
        for (number, element) in elements.iter().enumerate() {
            let fetched = self.fetch(operation, element, &key(number)).await;
            assert!(matches!(fetched, AnswerResult::Done { output: Some(Output::Fetched), .. }), "{fetched:?}");
        }
    }

    async fn preview(&mut self, operation: &str, elements: &[PackedElement]) -> Vec<ElementChanges> {
        match self.ask(operation, Command::PreviewRestore { elements: names(elements) }).await {
            AnswerResult::Done { output: Some(Output::Preview { elements }), .. } => elements,
            other => panic!("no preview: {other:?}"),
        }
    }

    /// Takes the elements over and waits for the session after the restart.
    async fn apply(&mut self, operation: &str, elements: &[PackedElement]) {
        let applied = self.ask(operation, apply(elements)).await;
        assert!(matches!(applied, AnswerResult::Done { output: None, .. }), "{applied:?}");
        assert_eq!(self.next().await, Some(FromSystem::Goodbye { reason: Departure::RebootForChange }));
        self.again().await;
    }

    /// Changes the causes and waits until the system took them in.
    async fn set(&mut self, causes: &str) {
        self.changes += 1;
        let address = format!("change-{}", self.changes);
        self.site.causes(&format!("{causes}address: {address}\n"));
        soon("the causes", async {
            while !matches!(self.session.next().await.unwrap(), FromSystem::Report(facts) if facts.address == address) {}
        })
        .await;
    }

    /// Does something that ends the session without a goodbye, and takes the next one.
    async fn cut(&mut self, work: impl FnOnce(&mut Self) -> futures::future::BoxFuture<'_, u64>) {
        work(self).await;
        loop {
            match self.session.next().await {
                None => break,
                Some(FromSystem::Goodbye { .. }) => panic!("nobody says goodbye when the power fails"),
                Some(FromSystem::Answer(answer)) => assert_eq!(reason(&answer.result), "Done", "nor gives an answer that is final"),
                Some(_) => {}
            }
        }
        self.again().await;
    }

    /// The next message that is no report.
    async fn next(&mut self) -> Option<FromSystem> {
        loop {
            match self.session.next().await {
                Some(FromSystem::Report(_)) => {}
                other => return other,
            }
        }
    }

    fn content(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.site.disk().join("content"))
    }

    fn change(&self, path: &str, bytes: &str) {
        std::fs::write(self.site.disk().join("content").join(path), bytes).unwrap();
    }
}

async fn signed_in(gateway: &mut TestGateway) -> (TestSession, Facts) {
    let mut session = gateway.session().await;
    let hello = session.greet().await;
    session.sign_in("right").await;
    (session, hello.facts)
}

fn key(number: usize) -> String {
    format!("backup/{number:03}")
}

fn names(elements: &[PackedElement]) -> Vec<String> {
    elements.iter().map(|element| element.element.clone()).collect()
}

fn prepare(selections: &[&str], part_size: u64) -> Command {
    Command::PrepareBackup { selections: selections.iter().map(|text| (*text).to_owned()).collect(), part_size }
}

fn apply(elements: &[PackedElement]) -> Command {
    Command::ApplyRestore { elements: names(elements), backup_id: "b-1".into(), configuration_revision: 5 }
}

fn reason(result: &AnswerResult) -> &str {
    match result {
        AnswerResult::Failed { reason, .. } => reason,
        AnswerResult::Done { .. } => "Done",
    }
}

/// All files below a folder with their content, by path.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

const EVERYTHING: [&str; 4] = ["Configuration", "VoicemailConfiguration", "CustomPrompts", "AllVoicemails"];

#[tokio::test]
async fn what_was_backed_up_comes_back_byte_for_byte() {
    let mut world = World::new(NETWORK).await;
    let before = world.content();
    let elements = world.backup("backup", &EVERYTHING).await;
    assert_eq!(elements.len(), 6 + 2 + 5 + 3, "{elements:?}");
    assert!(!world.site.disk().join("transfer/backup").exists(), "the end of an operation leaves nothing");
    let revision = world.facts.configuration_revision;
    world.session.configure("other", Settings { time_zone: Some("Asia/Tokyo".into()), ..Settings::default() }).await;
    world.change("servers/primary/IPOffice/users.csv", "nobody");
    world.change("voicemail/mailboxes/200/extra.wav", "extra");
    std::fs::remove_file(world.site.disk().join("content/voicemail/prompts/prompt-002.wav")).unwrap();
    assert_ne!(world.content(), before);
    world.fetch_all("restore", &elements).await;
    let preview = world.preview("restore", &elements).await;
    let of = |name: &str| preview.iter().find(|changes| changes.element == name).unwrap();
    assert_eq!((of("AllVoicemails").removed, of("CustomPrompts").added, of("VoicemailConfiguration").changed), (1, 1, 0));
    assert_eq!(of("Configuration/IPOffice/HQ").examples, ["~ settings.json", "~ users.csv"]);
    world.apply("restore", &elements).await;
    assert_eq!(world.content(), before);
    assert_eq!((world.facts.time_zone.as_str(), world.facts.configuration_revision), ("UTC", revision + 2));
    let restored = world.facts.last_restore.clone().unwrap();
    assert_eq!((restored.operation.as_str(), restored.backup_id.as_str(), restored.configuration_revision), ("restore", "b-1", 5));
    assert_eq!(restored.failure, None);
    assert!(!world.site.disk().join("transfer/restore").exists());
    let asked_again = world.ask("restore", apply(&elements)).await;
    assert_eq!(asked_again, AnswerResult::Done { configuration_revision: revision + 2, output: None }, "nothing is done twice");
    let log = world.site.log();
    assert!(log.contains("backup b-1 restored") && !log.contains(SIGNATURE), "{log}");
    for (path, bytes) in files(&world.site.disk()) {
        assert!(!String::from_utf8_lossy(&bytes).contains(SIGNATURE), "{path} holds what is secret in a URL");
    }
}

#[tokio::test]
async fn selected_mailboxes_come_back_and_the_others_stay() {
    let mut world = World::new(NETWORK).await;
    let elements = world.backup("backup", &["SelectiveVoicemails"]).await;
    let before = world.content();
    for mailbox in ["200", "201", "203"] {
        world.change(&format!("voicemail/mailboxes/{mailbox}/message-0001.wav"), "newer");
        world.change(&format!("voicemail/mailboxes/{mailbox}/message-0009.wav"), "newest");
    }
    world.fetch_all("restore", &elements).await;
    let changes = world.preview("restore", &elements).await.remove(0);
    assert_eq!((changes.changed, changes.removed, changes.added, changes.unchanged), (2, 2, 0, 2));
    world.apply("restore", &elements).await;
    let after = world.content();
    for (path, bytes) in &before {
        let stays = path.starts_with("voicemail/mailboxes/200/message-0001");
        assert_eq!(after[path] == *bytes, !stays, "{path}");
    }
    assert!(after.contains_key("voicemail/mailboxes/200/message-0009.wav"));
    assert!(!after.contains_key("voicemail/mailboxes/201/message-0009.wav"));
}

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
    let mut world = World::new(&format!("{NETWORK}faults: {{packingKilobytesPerSecond: 100}}\n")).await;
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
async fn damaged_truncated_and_foreign_archives_are_refused_and_nothing_is_touched() {
    let mut world = World::new(NETWORK).await;
    let elements = world.backup("backup", &["Configuration/IPOffice", "Configuration/WebLM"]).await;
    let before = world.content();
    let good = world.store.content.lock().unwrap().objects[&key(0)].clone();
    let mut damaged = good.to_vec();
    damaged[700] ^= 1;
    let mut longer = good.to_vec();
    longer.push(0);
    for (bytes, expected) in [(damaged, "DigestMismatch"), (good[..good.len() - 1].to_vec(), "DigestMismatch"), (longer, "DigestMismatch")]
    {
        world.store.keep("bad", bytes);
        assert_eq!(reason(&world.fetch("restore", &elements[0], "bad").await), expected);
    }
    let foreign = world.store.content.lock().unwrap().objects[&key(1)].clone();
    let cases: [(&str, Vec<u8>); 5] = [
        ("users.csv", foreign.to_vec()),
        ("outside its folder", tar(&[("../outside", b"x")])),
        ("outside its folder", tar(&[("users.csv", b"x"), ("/etc/cron.d/x", b"x")])),
        ("settings.json", tar(&[("users.csv", b"x"), ("settings.json", b"{}")])),
        ("no tar archive", b"nonsense, and of some length".repeat(100)),
    ];
    for (why, bytes) in cases {
        let digest = archive::digest::Sha256::of(&bytes).to_string();
        let element = PackedElement { size: bytes.len() as u64, sha256: digest, ..elements[0].clone() };
        world.store.keep("bad", bytes);
        let refused = world.fetch("restore", &element, "bad").await;
        let AnswerResult::Failed { reason, message } = &refused else { panic!("{refused:?}") };
        assert!(reason == "ArchiveRefused" && message.contains(why), "{refused:?}");
    }
    assert_eq!(std::fs::read_dir(world.site.disk().join("transfer/restore/fetched")).unwrap().count(), 0, "what was refused is removed");
    assert_eq!(reason(&world.ask("restore", apply(&elements[..1])).await), "NotFetched");
    assert_eq!(world.content(), before);
}

/// A tar with names that no honest program writes.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = ::tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(::tar::EntryType::Regular);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn what_may_not_or_cannot_be_is_refused_with_its_reason() {
    let mut world = World::new(NETWORK).await;
    for (selections, part_size, expected) in [
        (&["Configuration/WebCollaboration/HQ"][..], PART, "UnknownElement"),
        (&["Recordings"], PART, "UnknownElement"),
        (&[], PART, "InvalidOrder"),
        (&["Configuration"], 0, "InvalidOrder"),
        (&["SelectiveVoicemails", "AllVoicemails"], PART, "InvalidOrder"),
    ] {
        assert_eq!(reason(&world.ask("op", prepare(selections, part_size)).await), expected, "{selections:?}");
    }
    let without_adjunct = NETWORK.replace("Adjunct Server", "Somebody");
    for (causes, expected) in [
        (NETWORK.replace("remoteUpgradeBackup: true", "remoteUpgradeBackup: false"), "RemoteUpgradeBackupOff"),
        (NETWORK.replace("{name: COMAdmin,", "{name: COMAdmin, rights: [Upgrade],"), "InsufficientRights"),
        (format!("{NETWORK}softwareVersion: 11.0.4.8\n"), "Legacy"),
        (NETWORK.replace("role: Expansion}", "role: Expansion, online: false}"), "ServerOffline"),
        (without_adjunct.clone(), "ServerOffline"),
        (format!("{NETWORK}faults: {{diskMegabytes: 1}}\ncontent: {{extensions: 1}}\n"), "DiskFull"),
    ] {
        world.set(&causes).await;
        if expected == "InsufficientRights" {
            world.session.sign_in("right").await;
        }
        let elements = if expected == "DiskFull" { vec!["AllVoicemails"; 1] } else { vec!["Configuration"] };
        if expected == "DiskFull" {
            std::fs::write(world.site.disk().join("log/ballast"), vec![0; 900_000]).unwrap();
        }
        let refused = world.ask("op", prepare(&elements, PART)).await;
        assert_eq!(reason(&refused), expected, "{refused:?}");
        world.set(NETWORK).await;
        if expected == "InsufficientRights" {
            world.session.sign_in("right").await;
        }
    }
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

#[tokio::test]
async fn the_power_may_fail_in_the_middle_of_anything_and_the_same_command_goes_on() {
    let fault =
        |work: &str| format!("{NETWORK}faults: {{rebootDuring: {{work: {work}, afterKilobytes: 50, token: {work}, outageSeconds: 0}}}}\n");
    let mut world = World::new(&fault("Packing")).await;
    let before = world.content();
    world.cut(|world| Box::pin(world.session.begin("backup", prepare(&["AllVoicemails", "CustomPrompts"], PART)))).await;
    let elements = world.pack("backup", &["AllVoicemails", "CustomPrompts"]).await;
    world.set(&fault("Upload")).await;
    let digests = world.parts("backup", &elements[1]).await;
    let parts: Vec<_> = (1..).zip(&digests).map(|(number, part)| world.store.part("lost", number, &part.sha256)).collect();
    let command = Command::UploadParts { element: elements[1].element.clone(), parts, authority: world.store.authority() };
    world.cut(|world| Box::pin(world.session.begin("backup", command))).await;
    world.put("backup", &elements[0], &key(0)).await;
    world.put("backup", &elements[1], &key(1)).await;
    world.change("voicemail/prompts/prompt-001.wav", "newer");
    world.set(&fault("Fetch")).await;
    let command = Command::FetchElement {
        element: elements[0].element.clone(),
        size: elements[0].size,
        sha256: elements[0].sha256.clone(),
        request: world.store.get(&key(0)),
        authority: world.store.authority(),
    };
    world.cut(|world| Box::pin(world.session.begin("restore", command))).await;
    world.fetch_all("restore", &elements).await;
    world.set(&fault("Unpacking")).await;
    let command = apply(&elements);
    world.cut(|world| Box::pin(world.session.begin("restore", command))).await;
    assert!(world.facts.last_restore.as_ref().unwrap().failure.is_some(), "nothing was restored");
    assert_eq!(world.content()["voicemail/prompts/prompt-001.wav"], b"newer");
    world.set(&fault("Replacing")).await;
    world.apply("restore", &elements).await;
    assert_eq!(world.facts.last_restore.as_ref().unwrap().failure, None);
    assert_eq!(world.content(), before);
    assert!(world.site.log().contains("the power fails during Replacing"), "{}", world.site.log());
}

#[tokio::test]
async fn a_network_that_is_cut_stops_a_fetch_which_then_goes_on() {
    let slow = format!("{NETWORK}faults: {{transfers: {{kilobytesPerSecond: 100}}}}\n");
    let mut world = World::new(NETWORK).await;
    let elements = world.backup("backup", &["AllVoicemails"]).await;
    world.set(&slow).await;
    let command = Command::FetchElement {
        element: elements[0].element.clone(),
        size: elements[0].size,
        sha256: elements[0].sha256.clone(),
        request: world.store.get(&key(0)),
        authority: world.store.authority(),
    };
    let answer = world.session.ask("restore", command).await;
    assert!(matches!(answer, AnswerResult::Done { output: Some(Output::InProgress { done: 1.., .. }), .. }), "{answer:?}");
    world.site.causes(&format!("{slow}network: {{connected: false}}\n"));
    assert_eq!(world.next().await, None);
    world.site.causes(NETWORK);
    world.again().await;
    let _ = world.fetch("restore", &elements[0], &key(0)).await;
    world.fetch_all("restore", &elements).await;
    let requests = world.store.content.lock().unwrap().requests.clone();
    assert!(requests.iter().any(|(method, _, range)| method == "GET" && range.is_some()), "{requests:?}");
}

#[tokio::test]
async fn a_full_disk_refuses_to_fetch_and_to_take_over_before_anything_is_touched() {
    let mut world = World::new(NETWORK).await;
    let elements = world.backup("backup", &["AllVoicemails"]).await;
    let before = world.content();
    world.fetch_all("restore", &elements).await;
    std::fs::write(world.site.disk().join("log/ballast"), vec![0; 900_000]).unwrap();
    world.set(&format!("{NETWORK}faults: {{diskMegabytes: 1}}\n")).await;
    assert_eq!(reason(&world.ask("restore", apply(&elements)).await), "DiskFull");
    assert_eq!(reason(&world.fetch("other", &elements[0], &key(0)).await), "DiskFull");
    assert_eq!(world.content(), before);
    assert_eq!(world.facts.last_restore, None);
}

#[tokio::test]
async fn phones_and_the_small_community_network_show_in_the_log() {
    let causes = format!("{USER}phones: {{count: 2, series: '9600'}}\nsmallCommunityNetwork: {{name: Coast, units: [Bergen, Oslo]}}\n");
    let mut gateway = TestGateway::start().await;
    let mut site = Site::new(&gateway, &causes);
    site.start();
    gateway.session().await.greet().await;
    let log = site.log();
    assert_eq!(log.matches("series 9600").count(), 2, "{log}");
    assert!(log.contains("took 46xxsettings.txt") && log.contains("\"Coast\" with Bergen, Oslo"), "{log}");
    assert!(site.disk().join("content/servers/primary/IPOffice/settings.json").exists());
}

#[tokio::test]
async fn light_content_is_made_only_when_a_backup_needs_it() {
    let causes = "
serviceUsers: [{name: COMAdmin, passwordSecretKey: com}]
remoteOperations: {remoteUpgradeBackup: true}
content: {extensions: 0, mailboxes: 0}
logging: {linesPerMinute: 0}
";
    let mut world = World::new(causes).await;
    assert!(!world.site.disk().join("content").exists());
    let elements = world.pack("backup", &["Configuration"]).await;
    assert_eq!(names(&elements), ["Configuration/IPOffice/hq"]);
    assert!(world.site.disk().join("content").exists());
}

//! The system, the gateway and the object store of a test, and the orders that a test gives.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use protocol::message::{AnswerResult, Command, Departure, Facts, FromSystem};
use protocol::transfer::{ElementChanges, Output, PackedElement, PartDigest, StoreFailure};

use crate::support::gateway::TestGateway;
use crate::support::session::TestSession;
use crate::support::store::TestStore;
use crate::support::{Site, soon};

/// A Server Edition network whose application server joins, with the switch on.
pub const NETWORK: &str = "
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
pub const PART: u64 = 30_000;

pub struct World {
    pub gateway: TestGateway,
    pub store: TestStore,
    pub site: Site,
    pub session: TestSession,
    pub facts: Facts,
    pub changes: u32,
}

impl World {
    pub async fn new(causes: &str) -> Self {
        Self::with_slice(causes, Duration::from_millis(400)).await
    }

    /// With so much time until work that goes on is answered.
    pub async fn with_slice(causes: &str, slice: Duration) -> Self {
        let mut gateway = TestGateway::start().await;
        let store = TestStore::start().await;
        let mut site = Site::new(&gateway, causes);
        site.options.work_slice = slice;
        site.start();
        let (session, facts) = signed_in(&mut gateway).await;
        Self { gateway, store, site, session, facts, changes: 0 }
    }

    /// Takes the next session, after a restart.
    pub async fn again(&mut self) {
        (self.session, self.facts) = signed_in(&mut self.gateway).await;
    }

    pub async fn restart_program(&mut self) {
        self.site.stop().await;
        self.site.start();
        self.again().await;
    }

    pub async fn ask(&mut self, operation: &str, command: Command) -> AnswerResult {
        self.session.finish(operation, command).await
    }

    pub async fn pack(&mut self, operation: &str, selections: &[&str]) -> Vec<PackedElement> {
        self.pack_in(operation, selections, PART).await
    }

    pub async fn pack_in(&mut self, operation: &str, selections: &[&str], part_size: u64) -> Vec<PackedElement> {
        match self.ask(operation, prepare(selections, part_size)).await {
            AnswerResult::Done { output: Some(Output::Packed { elements, .. }), .. } => elements,
            other => panic!("not packed: {other:?}"),
        }
    }

    pub async fn parts(&mut self, operation: &str, element: &PackedElement) -> Vec<PartDigest> {
        let command = Command::DescribeParts { element: element.element.clone(), first: 1 };
        match self.ask(operation, command).await {
            AnswerResult::Done { output: Some(Output::Parts { parts }), .. } => parts,
            other => panic!("not described: {other:?}"),
        }
    }

    /// Orders parts once and gives those that were put.
    pub async fn order(
        &mut self,
        operation: &str,
        element: &PackedElement,
        key: &str,
        numbers: &[u32],
    ) -> (Vec<u32>, Option<StoreFailure>) {
        let digests = self.parts(operation, element).await;
        let parts = numbers.iter().map(|number| self.store.part(key, *number, &digests[*number as usize - 1].sha256)).collect();
        let command = Command::UploadParts { element: element.element.clone(), parts, authority: self.store.authority() };
        match self.ask(operation, command).await {
            AnswerResult::Done { output: Some(Output::Uploaded { parts, failure }), .. } => (parts, failure),
            other => panic!("not put: {other:?}"),
        }
    }

    /// Puts an element, part for part, as often as it takes.
    pub async fn put(&mut self, operation: &str, element: &PackedElement, key: &str) {
        let mut left: Vec<u32> = (1..=element.parts).collect();
        while !left.is_empty() {
            let (done, _) = self.order(operation, element, key, &left).await;
            left.retain(|number| !done.contains(number));
        }
        self.store.keep(key, self.store.object(key));
    }

    /// A backup of everything that is selected: elements, each under the key of its number.
    pub async fn backup(&mut self, operation: &str, selections: &[&str]) -> Vec<PackedElement> {
        let elements = self.pack(operation, selections).await;
        for (number, element) in elements.iter().enumerate() {
            self.put(operation, element, &key(number)).await;
        }
        let ended = self.ask(operation, Command::EndOperation).await;
        assert!(matches!(ended, AnswerResult::Done { .. }), "{ended:?}");
        elements
    }

    pub async fn fetch(&mut self, operation: &str, element: &PackedElement, key: &str) -> AnswerResult {
        let command = Command::FetchElement {
            element: element.element.clone(),
            size: element.size,
            sha256: element.sha256.clone(),
            request: self.store.get(key),
            authority: self.store.authority(),
        };
        self.ask(operation, command).await
    }

    pub async fn fetch_all(&mut self, operation: &str, elements: &[PackedElement]) {
        for (number, element) in elements.iter().enumerate() {
            let fetched = self.fetch(operation, element, &key(number)).await;
            assert!(matches!(fetched, AnswerResult::Done { output: Some(Output::Fetched), .. }), "{fetched:?}");
        }
    }

    pub async fn preview(&mut self, operation: &str, elements: &[PackedElement]) -> Vec<ElementChanges> {
        match self.ask(operation, Command::PreviewRestore { elements: names(elements) }).await {
            AnswerResult::Done { output: Some(Output::Preview { elements }), .. } => elements,
            other => panic!("no preview: {other:?}"),
        }
    }

    /// Takes the elements over and waits for the session after the restart.
    pub async fn apply(&mut self, operation: &str, elements: &[PackedElement]) {
        let applied = self.ask(operation, apply(elements)).await;
        assert!(matches!(applied, AnswerResult::Done { output: None, .. }), "{applied:?}");
        assert_eq!(self.next().await, Some(FromSystem::Goodbye { reason: Departure::RebootForChange }));
        self.again().await;
    }

    /// Changes the causes and waits until the system took them in.
    pub async fn set(&mut self, causes: &str) {
        self.changes += 1;
        let address = format!("change-{}", self.changes);
        self.site.causes(&format!("{causes}address: {address}\n"));
        soon("the causes", async {
            while !matches!(self.session.next().await.unwrap(), FromSystem::Report(facts) if facts.address == address) {}
        })
        .await;
    }

    /// Does something that ends the session without a goodbye, and takes the next one.
    pub async fn cut(&mut self, work: impl FnOnce(&mut Self) -> futures::future::BoxFuture<'_, u64>) {
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
    pub async fn next(&mut self) -> Option<FromSystem> {
        loop {
            match self.session.next().await {
                Some(FromSystem::Report(_)) => {}
                other => return other,
            }
        }
    }

    pub fn content(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.site.disk().join("content"))
    }

    pub fn change(&self, path: &str, bytes: &str) {
        std::fs::write(self.site.disk().join("content").join(path), bytes).unwrap();
    }
}

pub async fn signed_in(gateway: &mut TestGateway) -> (TestSession, Facts) {
    let mut session = gateway.session().await;
    let hello = session.greet().await;
    session.sign_in("right").await;
    (session, hello.facts)
}

pub fn key(number: usize) -> String {
    format!("backup/{number:03}")
}

pub fn names(elements: &[PackedElement]) -> Vec<String> {
    elements.iter().map(|element| element.element.clone()).collect()
}

pub fn prepare(selections: &[&str], part_size: u64) -> Command {
    Command::PrepareBackup { selections: selections.iter().map(|text| (*text).to_owned()).collect(), part_size }
}

pub fn apply(elements: &[PackedElement]) -> Command {
    Command::ApplyRestore { elements: names(elements), backup_id: "b-1".into(), configuration_revision: 5 }
}

pub fn reason(result: &AnswerResult) -> &str {
    match result {
        AnswerResult::Failed { reason, .. } => reason,
        AnswerResult::Done { .. } => "Done",
    }
}

/// All files below a folder with their content, by path.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
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

pub const EVERYTHING: [&str; 4] = ["Configuration", "VoicemailConfiguration", "CustomPrompts", "AllVoicemails"];

//! A process that writes is killed at arbitrary points; whatever it had answered is there afterwards, and revisions go on from there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use embedded::store::{Key, Store, Write};
use serde_json::{Value, json};

/// Tells this test program, started by itself, that it is the one to be killed, and where to write.
const FOLDER: &str = "STORE_SURVIVES_KILL_FOLDER";
const WRITERS: usize = 8;
const KEYS: u64 = 5;

fn key(writer: usize, number: u64) -> Key {
    Key::new("configmaps", format!("writer-{writer}"), format!("c{number}"))
}

fn value(count: u64) -> Value {
    json!({"metadata": {"labels": {"count": count.to_string()}}, "data": {"count": count, "text": "x".repeat(count as usize % 3000)}})
}

fn count(store: &Store, key: &Key) -> Option<u64> {
    let object = store.get(key)?;
    let value = object.value();
    assert_eq!(value["metadata"]["resourceVersion"], object.revision.to_string());
    let count = value["data"]["count"].as_u64();
    assert_eq!(object.label("count").map(str::to_owned), count.map(|count| count.to_string()));
    assert_eq!(value["data"]["text"].as_str().map(str::len), count.map(|count| count as usize % 3000));
    count
}

/// The victim: writes without end, every write with a count that grows, and says each answer.
#[test]
#[ignore = "started by the test below, to be killed"]
fn writer_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = Store::open(Path::new(&folder)).unwrap();
    let first = store.revision();
    runtime.block_on(async {
        let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write_for_ever(store.clone(), writer, first))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Every seventh write deletes. Counts begin at the revision, which grows faster than any of them.
async fn write_for_ever(store: Store, writer: usize, first: u64) {
    for step in 1.. {
        let key = key(writer, step % KEYS);
        let count = first + step;
        let (write, said) = match store.get(&key) {
            None => (Write::Create { key: key.clone(), value: value(count) }, count),
            Some(old) if step % 7 == 0 => (Write::Delete { key: key.clone(), expected: old.revision }, 0),
            Some(old) => (Write::Update { key: key.clone(), expected: old.revision, value: value(count) }, count),
        };
        let revision = store.write(write).await.unwrap().revision;
        let line = format!("answered {writer} {} {said} {revision} {count}\n", step % KEYS);
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

/// What the victim said of a key: its count (0 is deleted), and the count of the write.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    count: u64,
    write: u64,
}

#[derive(Default)]
struct Answers {
    keys: BTreeMap<(usize, u64), Said>,
    revision: u64,
    total: usize,
}

impl Answers {
    fn take(&mut self, line: &str) {
        let Some((_, answer)) = line.split_once("answered ") else { return };
        let numbers: Vec<u64> = answer.split(' ').map(|number| number.parse().unwrap()).collect();
        let [writer, number, count, revision, write] = numbers[..] else { panic!("half a line: {line}") };
        self.keys.insert((writer as usize, number), Said { count, write });
        self.revision = self.revision.max(revision);
        self.total += 1;
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer_process", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads until so many answers came, kills, and takes what was said before the end.
fn kill_after(mut child: Child, answers: &mut Answers, wanted: usize) {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let goal = answers.total + wanted;
    while answers.total < goal && output.read_line(&mut line).unwrap() > 0 {
        answers.take(line.trim_end());
        line.clear();
    }
    child.kill().unwrap();
    while output.read_line(&mut line).unwrap() > 0 {
        // The last line may have been cut off by the kill; then it was not said.
        if line.ends_with('\n') {
            answers.take(line.trim_end());
        }
        line.clear();
    }
    assert!(!child.wait().unwrap().success(), "it should have been killed");
}

fn check(store: &Store, answers: &Answers) {
    assert!(store.revision() >= answers.revision, "revision {} went back from {}", store.revision(), answers.revision);
    for (&(writer, number), said) in &answers.keys {
        let found = count(store, &key(writer, number));
        // The write after the last answered one may have got through, or not.
        let same = found == (said.count > 0).then_some(said.count);
        let later = found.is_some_and(|found| found > said.write) || (found.is_none() && said.count > 0);
        assert!(same || later, "writer {writer}, key {number}: answered {said:?}, found {found:?}");
    }
    let lost = answers.keys.iter().filter(|((writer, number), said)| said.count > 0 && store.get(&key(*writer, *number)).is_none());
    assert!(lost.count() <= WRITERS, "each writer has at most one unanswered deletion");
}

#[tokio::test]
async fn no_answered_write_is_lost_when_the_process_is_killed() {
    let folder = Folder(std::env::temp_dir().join(format!("store-survives-kill-{}", uuid::Uuid::new_v4())));
    let mut answers = Answers::default();
    for wanted in [1, 3, 20, 77, 150, 333, 500, 1000] {
        kill_after(start(&folder.0), &mut answers, wanted);
        let store = Store::open(&folder.0).unwrap();
        check(&store, &answers);
        let before = store.revision();
        let write = Write::Create { key: Key::new("events", "", before.to_string()), value: json!({}) };
        let revision = store.write(write).await.unwrap().revision;
        assert_eq!(revision, before + 1, "revisions go on without a gap and without reuse");
        answers.revision = revision;
    }
    assert!(answers.total >= 2000, "only {} answers", answers.total);
}

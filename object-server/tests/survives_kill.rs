//! A server that takes writes is killed at arbitrary points; whatever it had answered is there afterwards, whole.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use support::{BUCKET, Folder, Served, bytes};

/// Tells this test program, started by itself, that it is the one to be killed, and where to write.
const FOLDER: &str = "OBJECTS_SURVIVE_KILL_FOLDER";
const WRITERS: usize = 6;
const KEYS: u64 = 4;

fn key(writer: usize, number: u64) -> String {
    format!("writer-{writer}/deep/k{number}")
}

/// Bytes that say which write they are of.
fn content(count: u64) -> Vec<u8> {
    [&count.to_be_bytes(), bytes(count as usize * 97 % 100_000, count).as_slice()].concat()
}

/// Which write an object is of. Fails if it is none whole.
async fn found(client: &Client, key: &str) -> Option<u64> {
    let got = match client.get_object().bucket(BUCKET).key(key).send().await {
        Ok(got) => got,
        Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return None,
        Err(error) => panic!("{key}: {error:?}"),
    };
    let body = got.body.collect().await.unwrap().to_vec();
    let count = u64::from_be_bytes(body.get(..8).unwrap_or_else(|| panic!("{key} is cut off")).try_into().unwrap());
    assert!(body == content(count), "{key} is not whole");
    Some(count)
}

/// The victim: serves, and writes to itself without end, every write with a count that grows, and says each answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "started by the test below, to be killed"]
async fn writer_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let served = Served::start(Path::new(&folder)).await;
    let client = served.client();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write_for_ever(client.clone(), writer));
    }
    writers.join_next().await.unwrap().unwrap();
}

/// Every seventh write deletes, every fifth is an upload in parts.
async fn write_for_ever(client: Client, writer: usize) {
    let mut count = 0;
    for number in 0..KEYS {
        count = count.max(found(&client, &key(writer, number)).await.unwrap_or(0));
    }
    for step in 1_u64.. {
        // Beyond what a killed write may have left under another key.
        count += 2;
        let key = key(writer, step % KEYS);
        let said = match step {
            _ if step % 7 == 0 => {
                client.delete_object().bucket(BUCKET).key(&key).send().await.unwrap();
                0
            }
            _ if step % 5 == 0 => upload(&client, &key, count).await,
            _ => {
                client.put_object().bucket(BUCKET).key(&key).body(content(count).into()).send().await.unwrap();
                count
            }
        };
        let line = format!("answered {writer} {} {said} {count}\n", step % KEYS);
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

async fn upload(client: &Client, key: &str, count: u64) -> u64 {
    let begun = client.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap();
    let id = begun.upload_id().unwrap();
    let part = client.upload_part().bucket(BUCKET).key(key).upload_id(id).part_number(1).body(content(count).into()).send().await.unwrap();
    let part = CompletedPart::builder().part_number(1).e_tag(part.e_tag().unwrap()).set_checksum_crc32(part.checksum_crc32.clone()).build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(id).multipart_upload(parts).send().await.unwrap();
    count
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
    total: usize,
}

impl Answers {
    fn take(&mut self, line: &str) {
        let Some((_, answer)) = line.split_once("answered ") else { return };
        let numbers: Vec<u64> = answer.split(' ').map(|number| number.parse().unwrap()).collect();
        let [writer, number, count, write] = numbers[..] else { panic!("half a line: {line}") };
        self.keys.insert((writer as usize, number), Said { count, write });
        self.total += 1;
    }
}

fn names(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
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
    assert!(answers.total >= goal, "it ended by itself");
}

async fn check(client: &Client, answers: &Answers) {
    let mut lost = 0;
    for (&(writer, number), said) in &answers.keys {
        let found = found(client, &key(writer, number)).await;
        // The write after the last answered one may have got through, or not.
        let same = found == (said.count > 0).then_some(said.count);
        let later = found.is_some_and(|found| found > said.write) || (found.is_none() && said.count > 0);
        assert!(same || later, "writer {writer}, key {number}: answered {said:?}, found {found:?}");
        lost += usize::from(found.is_none() && said.count > 0);
    }
    assert!(lost <= WRITERS, "each writer has at most one unanswered deletion");
}

#[tokio::test]
async fn no_answered_write_is_lost_when_the_server_is_killed() {
    let folder = Folder::new();
    let mut answers = Answers::default();
    for wanted in [1, 5, 30, 77, 150, 333] {
        kill_after(start(&folder.0), &mut answers, wanted);
        let served = Served::start(&folder.0).await;
        assert_eq!(names(&folder.0.join("staging")), 0, "nothing half-written stays");
        // An older version whose removal the kill prevented is on its way out.
        let started = Instant::now();
        while names(&folder.0.join("trash")) > 0 {
            assert!(started.elapsed() < Duration::from_secs(10), "the trash stays");
            tokio::task::yield_now().await;
        }
        let client = served.client();
        check(&client, &answers).await;
        let listed = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        for object in listed.contents() {
            assert!(found(&client, object.key().unwrap()).await.is_some(), "{object:?} is listed and not there");
        }
        // Uploads under way at the kill stay until they are aborted; afterwards nothing is left of them.
        for upload in client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap().uploads() {
            let abort = client.abort_multipart_upload().bucket(BUCKET).key(upload.key().unwrap()).upload_id(upload.upload_id().unwrap());
            abort.send().await.unwrap();
        }
        assert_eq!(names(&folder.0.join("buckets").join(BUCKET).join("uploads")), 0);
        served.stop().await;
    }
    assert!(answers.total >= 596, "only {} answers", answers.total);
}

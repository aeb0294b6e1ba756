//! The power goes at any moment: what was acknowledged stands, and the disk is usable.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;

use model::secret::Secret;
use model::switches::RemoteOperations;
use protocol::message::{Command, Request, Settings};
use simulator::causes_check::parse;
use simulator::clock::MachineClock;
use simulator::disk::state::Replacement;
use simulator::inputs::Inputs;
use simulator::machine::Machine;
use simulator::transfer::stage;

const DISK: &str = "SIMULATOR_TEST_DISK";

fn open(folder: &Path) -> Machine {
    let inputs = Inputs {
        causes: parse("serviceUsers: [{name: COMAdmin, passwordSecretKey: com}]").unwrap(),
        passwords: [("com".to_owned(), Secret::new("right"))].into(),
        subscription: Err("none".into()),
        problems: vec![],
    };
    Machine::open(folder, Arc::new(inputs), Arc::new(MachineClock), false, Some(50_000)).unwrap()
}

#[test]
#[ignore = "the other test runs it in a process of its own, to kill it"]
fn child() {
    let Some(folder) = std::env::var_os(DISK) else { return };
    let mut system = open(Path::new(&folder));
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nbegin").unwrap();
    loop {
        let session = system.next_session().unwrap();
        let remote_access = !system.state().configuration.remote_operations.remote_access;
        let switches = RemoteOperations { remote_access, ..RemoteOperations::default() };
        let settings = Settings { remote_operations: Some(switches), ..Settings::default() };
        let request = Request { id: 1, operation: format!("op-{session}"), command: Command::Configure(settings) };
        system.execute(&request, Some("COMAdmin"));
        writeln!(out, "done {session} {}", system.state().configuration.revision).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_disk_that_holds_all_it_acknowledged() {
    let folder = std::env::temp_dir().join(format!("simulator-{}", uuid::Uuid::new_v4()));
    for round in 0..12u32 {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(DISK, &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let (mut session, mut revision) = (0, 0);
        // The pipe holds lines the child wrote meanwhile, so that the kill comes at another point each time.
        let mut take = |line: &str| {
            if let Some(numbers) = line.strip_prefix("done ") {
                let (a, b) = numbers.split_once(' ').unwrap();
                (session, revision) = (a.parse::<u64>().unwrap(), b.parse::<u64>().unwrap());
            }
        };
        for _ in 0..(round * 7) % 23 + 3 {
            take(&lines.next().expect("the child goes on until it is killed"));
        }
        child.kill().unwrap();
        lines.for_each(|line| {
            if line.split(' ').count() == 3 {
                take(&line)
            }
        });
        child.wait().unwrap();
        let system = open(&folder);
        assert!(system.state().session >= session && system.state().configuration.revision >= revision, "round {round}");
        let current = folder.join(format!("configuration/{:08}.cfg", system.state().configuration.revision));
        let text = std::fs::read_to_string(current).unwrap();
        let word = if system.state().configuration.remote_operations.remote_access { "RemoteAccess = on" } else { "RemoteAccess = off" };
        assert!(text.contains(word), "the file is the configuration that counts");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Two folders that a restore replaces together, the first with the settings.
const TWO: [&str; 2] = ["servers/primary/IPOffice", "voicemail/prompts"];

fn open_network(folder: &Path) -> Machine {
    let causes = "profile: Server Edition\ncontent: {extensions: 1, mailboxes: 1, promptKilobytes: 1}";
    let inputs = Inputs { causes: parse(causes).unwrap(), passwords: [].into(), subscription: Err("none".into()), problems: vec![] };
    Machine::open(folder, Arc::new(inputs), Arc::new(MachineClock), false, Some(50_000)).unwrap()
}

/// An archive whose files all say `number`; as settings, a zone that is as good as any.
fn archive(folder: &Path, number: u64) -> std::path::PathBuf {
    let settings = r#"{"timeZone":"UTC","remoteOperations":{},"voicemailBackup":{},"certificates":{}}"#;
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in [("mark", number.to_string()), ("users.csv", number.to_string()), ("settings.json", settings.to_owned())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let path = folder.join("restored.tar");
    std::fs::write(&path, builder.into_inner().unwrap()).unwrap();
    path
}

#[test]
#[ignore = "the other test runs it in a process of its own, to kill it"]
fn restoring_child() {
    let Some(folder) = std::env::var_os(DISK) else { return };
    let folder = Path::new(&folder);
    let mut system = open_network(folder);
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nbegin").unwrap();
    loop {
        let number = system.next_session().unwrap();
        let operation = format!("op-{number}");
        let archive = archive(folder, number);
        system.begin_restore(&operation, &number.to_string(), 1).unwrap();
        let unpacked = system.unpacked_folder(&operation);
        let replacements = TWO.iter().enumerate().map(|(index, to)| {
            stage::unpack(&archive, &unpacked.join(index.to_string()), &|_| true).unwrap();
            Replacement {
                from: format!("{operation}/unpacked/{index}"),
                aside: format!("{operation}/aside/{index}"),
                to: (*to).to_owned(),
                takes_settings: index == 0,
            }
        });
        let replacements = replacements.collect();
        system.decide_restore(replacements).unwrap();
        writeln!(out, "done {number} 0").unwrap();
        out.flush().unwrap();
        system.finish_restore_with(&mut |_, _| true).unwrap();
    }
}

#[test]
fn a_process_killed_while_it_takes_restores_over_has_all_of_one_and_says_which() {
    let folder = std::env::temp_dir().join(format!("simulator-{}", uuid::Uuid::new_v4()));
    for round in 0..12u32 {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "restoring_child", "--ignored", "--nocapture"])
            .env(DISK, &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut decided = 0;
        let mut take = |line: &str| {
            if let Some(number) = line.strip_prefix("done ").and_then(|rest| rest.split_once(' ')) {
                decided = number.0.parse::<u64>().unwrap();
            }
        };
        for _ in 0..(round * 5) % 7 + 4 {
            take(&lines.next().expect("the child goes on until it is killed"));
        }
        // Another point of the work each time.
        let until = std::time::Instant::now() + std::time::Duration::from_micros(u64::from(round) * 1700);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        lines.for_each(|line| take(&line));
        child.wait().unwrap();
        let system = open_network(&folder);
        // Before the first restore there is no mark.
        let mark =
            |to: &str| std::fs::read_to_string(folder.join("content").join(to).join("mark")).map_or(0, |text| text.parse::<u64>().unwrap());
        let marks = TWO.map(mark);
        assert_eq!(marks[0], marks[1], "round {round}: all of one restore");
        assert!(marks[0] >= decided, "round {round}: {marks:?}, what was decided is done");
        let Some(last) = system.state().last_restore.clone() else {
            assert_eq!(marks, [0, 0]);
            continue;
        };
        let number = last.backup_id.parse::<u64>().unwrap();
        match last.failure {
            None => assert_eq!(number, marks[0], "round {round}"),
            Some(_) => assert!(number > marks[0], "round {round}: what failed is not there"),
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

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
use simulator::inputs::Inputs;
use simulator::machine::Machine;

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

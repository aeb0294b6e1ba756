//! The agent is killed. The agent here is this test binary, started again; so is the launcher.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::node::launcher::launcher_main;
use crate::node::options::Launcher;
use crate::node::pod::tests::world::{Memory, World, alive, shell, until_dead};
use crate::node::process::identity::{kill_leftovers, read_records};
use crate::node::testing::Folder;

const AGENT: &str = "NODE_TEST_AGENT";
const LAUNCHER_TEST: &str = "node::tests::crash::as_launcher";

/// Not a test when run as one: a child that becomes its program. The test runner takes what follows the name as further names.
#[test]
fn as_launcher() {
    let arguments: Vec<_> = std::env::args_os().collect();
    let ours = arguments.iter().position(|argument| argument == "node::launcher");
    if let Some(at) = ours {
        launcher_main(arguments.into_iter().skip(at + 1));
    }
}

fn launcher() -> Launcher {
    let arguments = [LAUNCHER_TEST, "--exact", "--nocapture", "--test-threads=1", "node::launcher"];
    Launcher { program: std::env::current_exe().unwrap(), arguments: arguments.map(str::to_owned).to_vec() }
}

/// Not a test when run as one: an agent with one pod, until it is killed.
#[tokio::test]
async fn as_agent() {
    let Ok(folder) = std::env::var(AGENT) else { return };
    let script = format!("{folder}/script");
    std::fs::write(
        &script,
        format!("sleep 1000 & echo $! > {folder}/descendant\necho $$ > {folder}/new\nmv {folder}/new {folder}/first\nwait\n"),
    )
    .unwrap();
    let folder = Arc::new(Folder::at(folder.into()));
    let pod = shell("Always", "", json!({"command": ["sh", script], "args": []}));
    let world = World::start_in(folder, Arc::new(Memory::default()), pod, launcher());
    world.task.await.unwrap();
}

#[test]
fn a_program_heeds_signals_that_whoever_started_the_agent_ignores() {
    let ignored = |launcher: &str| {
        let script = format!("trap '' HUP INT QUIT; {launcher} grep SigIgn /proc/self/status; true");
        let output = Command::new("sh").arg("-c").arg(script).arg(std::env::current_exe().unwrap()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The test runner has begun its line already.
        let (_, mask) = text.split_once("SigIgn:").unwrap_or_else(|| panic!("no mask in {text:?}"));
        u64::from_str_radix(mask.split_whitespace().next().unwrap(), 16).unwrap() & 0b111
    };
    assert_eq!(ignored(""), 0b111, "without the launcher they stay ignored");
    assert_eq!(ignored(&format!("\"$0\" {} $$", launcher().arguments.join(" "))), 0);
}

#[tokio::test]
async fn killing_the_agent_ends_its_children_and_the_next_start_finds_what_they_left() {
    let folder = Folder::new();
    let mut agent = Command::new(std::env::current_exe().unwrap());
    agent
        .args(["node::tests::crash::as_agent", "--exact", "--nocapture"])
        .env(AGENT, folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut agent = agent.spawn().unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok().and_then(|text| text.trim().parse::<i32>().ok());
    let first = async {
        loop {
            // The record is written just after the start; before that the marker in the environment has to do.
            let recorded = !read_records(&folder.path().join("pods")).1.is_empty();
            if let (Some(first), Some(descendant), true) = (read("first"), read("descendant"), recorded) {
                break (first, descendant);
            }
            tokio::task::yield_now().await;
        }
    };
    let (first, descendant) = tokio::time::timeout(Duration::from_secs(20), first).await.unwrap();
    assert!(alive(first) && alive(descendant));

    agent.kill().unwrap();
    agent.wait().unwrap();
    until_dead(first).await;

    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    let (uids, records) = read_records(&folder.path().join("pods"));
    assert_eq!((uids.len(), records.len()), (1, 1));
    assert!(kill_leftovers(&uids, &records) >= 1);
    until_dead(descendant).await;
    assert!(alive(i32::try_from(stranger.id()).unwrap()), "others are left alone");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_record_of_another_process_with_the_same_id_kills_nobody() {
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = i32::try_from(stranger.id()).unwrap();
    let mut record = crate::node::process::Identity::of(pid).unwrap();
    record.start -= 1;
    assert_eq!(kill_leftovers(&["no-such-uid".to_owned()], &[record.clone()]), 0);
    record.start += 1;
    record.boot = "another run of the machine".to_owned();
    assert_eq!(kill_leftovers(&[], &[record]), 0);
    assert!(alive(pid));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_launcher_whose_agent_is_gone_runs_nothing() {
    let folder = Folder::new();
    let mark = folder.path().join("ran");
    let launcher = launcher();
    // Process 1 is certainly not the parent.
    let status = Command::new(&launcher.program)
        .args(&launcher.arguments)
        .args(["1", "/bin/touch"])
        .arg(&mark)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(crate::node::launcher::FAILED));
    assert!(!mark.exists());
}

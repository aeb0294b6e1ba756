//! The launcher: a short first life of every child, in which it arranges to die with the agent.
//!
//! The agent is killed (SIGKILL, out of memory) without a chance to end its children. The kernel can do it for us, but the request
//! for that must come from the child itself, between `fork` and `exec`, where Rust allows only `unsafe` code. So the child is this
//! program first, asks, and then becomes the container's program.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, ioctl_tiocsctty, set_parent_process_death_signal, setsid};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code when the launcher was called wrongly or the agent was gone already.
pub const FAILED: i32 = 125;
/// Exit code when the program cannot be executed, as shells have it.
pub const NOT_EXECUTABLE: i32 = 126;
/// The argument that makes standard input the controlling terminal of a new session.
pub const TERMINAL: &str = "--terminal";

/// Becomes the program given as `<agent's process id> [--terminal] <program> [argument…]`.
///
/// The binary that is named in [`Launcher`](super::options::Launcher) calls this with the arguments that follow the launcher's own.
pub fn launcher_main(arguments: impl IntoIterator<Item = OsString>) -> ! {
    let mut arguments = arguments.into_iter();
    let agent = arguments.next().and_then(|text| text.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let mut program = arguments.next();
    let terminal = program.as_ref().is_some_and(|word| word == TERMINAL);
    if terminal {
        program = arguments.next();
    }
    let (Some(agent), Some(program)) = (agent, program) else {
        fail(FAILED, "pod launcher: expected <agent's process id> [--terminal] <program> [argument…]; it is called by the node agent only");
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        fail(FAILED, &format!("pod launcher: cannot ask the kernel to end this process with its agent: {error}"));
    }
    // The agent may have died before the request; then there is no signal to come.
    if getppid() != Some(agent) {
        fail(FAILED, "pod launcher: the node agent that started this program is gone");
    }
    if terminal && let Err(error) = setsid().and_then(|_| ioctl_tiocsctty(std::io::stdin())) {
        fail(FAILED, &format!("pod launcher: cannot take the terminal: {error}"));
    }
    if let Err(error) = heed_signals() {
        fail(FAILED, &format!("pod launcher: cannot heed the signals that its starter ignored: {error}"));
    }
    let error = Command::new(&program).args(arguments).exec();
    fail(NOT_EXECUTABLE, &format!("pod launcher: cannot execute {}: {error}", program.display()));
}

/// A program begins with no signal ignored, as in a container: who starts this plane in the background of a script has SIGINT ignored, and so would
/// every program in it. Without `unsafe` a signal cannot be set back; but one that is caught is set back by the kernel when the program takes over.
fn heed_signals() -> io::Result<()> {
    let ignored = ignored_signals(&std::fs::read_to_string("/proc/self/status")?);
    let kinds = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];
    let concerned: Vec<SignalKind> = kinds.into_iter().filter(|kind| ignored & (1 << (kind.as_raw_value() - 1)) != 0).collect();
    if concerned.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    concerned.into_iter().try_for_each(|kind| signal(kind).map(drop))
}

/// The signals a process ignores, from its `/proc/<id>/status`: bit 0 is signal 1.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

fn fail(code: i32, text: &str) -> ! {
    use std::io::Write;
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr(), "{text}");
    std::process::exit(code)
}

//! The launcher: a short first life of every child, in which it arranges to die with the agent.
//!
//! The agent is killed (SIGKILL, out of memory) without a chance to end its children. The kernel can do it for us, but the request
//! for that must come from the child itself, between `fork` and `exec`, where Rust allows only `unsafe` code. So the child is this
//! program first, asks, and then becomes the container's program.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, ioctl_tiocsctty, set_parent_process_death_signal, setsid};

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
    let error = Command::new(&program).args(arguments).exec();
    fail(NOT_EXECUTABLE, &format!("pod launcher: cannot execute {}: {error}", program.display()));
}

fn fail(code: i32, text: &str) -> ! {
    use std::io::Write;
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr(), "{text}");
    std::process::exit(code)
}

//! The simulated telephone system: a program with a disk, a clock and faults. What it is told are causes; what COM shows follows from them.
//!
//! | module | what |
//! |---|---|
//! | [`causes`], [`causes_check`] | what a system is made of and what befalls it |
//! | [`inputs`] | causes, passwords and subscription, looked at again and again |
//! | [`disk`] | what survives a power cut |
//! | [`log`] | the log, on standard output and in files that rotate |
//! | [`clock`] | the system's own time |
//! | [`accounts`] | who may sign in |
//! | [`machine`] | the system without its network: sign-in, requests, facts |
//! | [`connect`], [`enrolment`], [`session`] | the way to COM, the certificate, one session |
//! | [`transfer`] | backups and restores: packing, putting, fetching, taking over |
//! | [`system`] | the life of one system: many can run in one process |
//! | [`fleet`] | what many light systems of one process share: counts, a bound on dialling |
//! | [`run()`] | the program `switchboard simulate` |

pub mod accounts;
mod backoff;
pub mod causes;
pub mod causes_check;
mod chatter;
pub mod clock;
pub mod connect;
pub mod disk;
pub mod enrolment;
pub mod fleet;
pub mod health;
pub mod inputs;
pub mod log;
pub mod machine;
pub mod options;
mod run;
pub mod session;
pub mod shared;
pub mod system;
#[cfg(test)]
mod testing;
pub mod transfer;

pub use causes::Causes;
pub use options::Options;
pub use run::{SimulateArguments, SimulateError, run, run_with_clock};
pub use system::{Phase, System};

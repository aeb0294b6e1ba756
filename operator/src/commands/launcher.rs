//! The hidden first life of every child of the node agent.

use std::ffi::OsString;

/// The word that selects it.
pub const WORD: &str = "pod-launcher";

/// The arguments after the word, if the program was started as a launcher.
pub fn called() -> Option<Vec<OsString>> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == WORD).then(|| arguments.collect())
}

//! Sessions of systems.
//!
//! | module | what |
//! |---|---|
//! | [`table`] | what is known of every system's session; fences the older by the newer |
//! | [`control`] | how others reach a session that runs |
//! | [`changes`] | tells subscribers which views changed |
//! | [`link`] | the [`protocol::link::SystemLink`] of this gateway |
//! | [`session`] | one session, from hello to its end |
//! | [`sign_in`] | COM's sign-in to the system: what was sent, what is expected, when again |
//! | [`requests`] | requests that wait for the system's answer |
//! | [`socket`] | the websocket: messages and pings out, messages in, a last word |
//! | [`end`] | why a session ended, and what follows from it |

pub(crate) mod changes;
pub(crate) mod control;
pub(crate) mod end;
pub(crate) mod link;
pub(crate) mod requests;
pub(crate) mod session;
pub(crate) mod sign_in;
pub(crate) mod socket;
pub(crate) mod table;

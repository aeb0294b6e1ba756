//! What a system and the gateway say to each other. `docs/protocol.md` is the same for people who connect a real PBX.
//!
//! | module | what |
//! |---|---|
//! | [`enrolment`] | an enrolment code becomes a client certificate, once (HTTP) |
//! | [`message`] | the session's messages, both ways (JSON over a websocket) |
//! | [`frame`] | text to message and back, with limits and clear errors |
//! | [`scram`] | SCRAM-SHA-256 (RFC 5802, RFC 7677), both sides |
//! | [`transfer`] | backups and restores: what is packed, put and fetched |
//! | [`replica`] | what replicas of COM say to each other |
//! | [`link`] | [`link::SystemLink`]: how controllers and dashboard reach a system |

pub mod enrolment;
pub mod frame;
pub mod link;
pub mod message;
pub mod replica;
pub mod scram;
pub mod transfer;

use std::time::Duration;

/// The version spoken here. The gateway accepts it and the one before it, once there is one.
pub const VERSION: u32 = 1;
/// The oldest version the gateway accepts.
pub const OLDEST_VERSION: u32 = 1;
/// Path of the session's websocket.
pub const SESSION_PATH: &str = "/v1/session";
/// `Sec-WebSocket-Protocol` of the session.
pub const SUBPROTOCOL: &str = "switchboard.v1";
/// Path of the enrolment request.
pub const ENROL_PATH: &str = "/v1/enrol";
/// Path of the certificate renewal.
pub const RENEW_PATH: &str = "/v1/renew";
/// Largest message in bytes, either way.
pub const LARGEST_MESSAGE: usize = 256 * 1024;
/// The gateway sends a websocket ping this often.
pub const KEEPALIVE: Duration = Duration::from_secs(30);
/// After this silence either side takes the other for gone.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(90);
/// Time to finish hello and sign-in.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

//! Everything about the gateway that can be set. The defaults suit 3000 systems; tests make the times short.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::authority::Authority;
use crate::replicas::ReplicaOptions;

/// How to run a gateway.
#[derive(Debug)]
pub struct Options {
    /// Where systems dial.
    pub address: SocketAddr,
    /// Folder for the authority's key and certificate and the server certificate, all readable by their owner only.
    pub folder: PathBuf,
    /// The authority, where it comes from elsewhere (on a cluster from a Secret). Otherwise the folder's, made at the first start.
    pub authority: Option<Authority>,
    /// Folder with a server certificate that somebody else keeps: `tls.crt`, `tls.key`, and `ca.crt`, which systems are told to trust. Otherwise one is
    /// made by the authority.
    pub server_certificate: Option<PathBuf>,
    /// Where other replicas are met; `None` for a gateway that is alone.
    pub replica: Option<ReplicaOptions>,
    /// Names and addresses that systems dial, for the server certificate. `localhost` and loopback addresses are added.
    pub host_names: Vec<String>,
    /// Bounds on what peers can use up.
    pub limits: Limits,
    /// Waits.
    pub times: Times,
}

impl Options {
    /// Defaults for an address and a folder.
    pub fn new(address: SocketAddr, folder: impl Into<PathBuf>) -> Self {
        Self {
            address,
            folder: folder.into(),
            authority: None,
            server_certificate: None,
            replica: None,
            host_names: Vec::new(),
            limits: Limits::default(),
            times: Times::default(),
        }
    }
}

/// How often something may happen: `burst` times at once, and once more after every `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How often at once.
    pub burst: u32,
    /// Time after which once more is allowed.
    pub interval: Duration,
}

/// Bounds on what peers can use up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Sessions at a time.
    pub sessions: usize,
    /// Connections at a time that are no session (yet). When they are used up, further ones wait in the listener's queue.
    pub unproved_connections: usize,
    /// The same for a single address: further ones are closed at once.
    pub unproved_per_address: usize,
    /// TLS handshakes computed at a time.
    pub handshakes: usize,
    /// Bytes of request line and headers; at least 8192.
    pub header_bytes: usize,
    /// Bytes of the body of an enrolment or renewal.
    pub body_bytes: usize,
    /// Password proofs computed at a time, each on a thread of its own.
    pub proofs: usize,
    /// Requests waiting for one system's answer at a time.
    pub requests_in_flight: usize,
    /// What a session may send. A message counts once, and once more for every full 16 KiB.
    pub messages: Rate,
    /// Refused enrolments of one address (IPv6: one /64).
    pub failures_per_address: Rate,
    /// Refused enrolments for one customer id, existing or not.
    pub failures_per_customer: Rate,
    /// Refused enrolments together.
    pub failures: Rate,
    /// Renewals of one system.
    pub renewals: Rate,
    /// New systems of one customer that nobody declared and that know its code.
    pub registrations: Rate,
    /// Questions to the directory that go beyond what is in memory, for one system whose certificate was proved.
    pub looks: Rate,
    /// The same for all systems together.
    pub looks_together: Rate,
    /// Places in each table of refused enrolments. It never grows: the least guilty makes room.
    pub failure_places: usize,
    /// Log lines caused by misbehaving peers.
    pub peer_log_lines: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |burst, milliseconds| Rate { burst, interval: Duration::from_millis(milliseconds) };
        Self {
            sessions: 16_384,
            unproved_connections: 1024,
            unproved_per_address: 256,
            handshakes: 64,
            header_bytes: 8192,
            body_bytes: 16 * 1024,
            proofs: std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2)),
            requests_in_flight: 16,
            messages: rate(200, 20),
            failures_per_address: rate(10, 6000),
            failures_per_customer: rate(60, 1000),
            failures: rate(600, 50),
            renewals: rate(5, 60_000),
            // More than there may be registrations, so that many at once are told that they are full instead of to wait.
            registrations: rate(200, 10_000),
            looks: rate(3, 20_000),
            looks_together: rate(200, 20),
            failure_places: 4096,
            peer_log_lines: rate(50, 200),
        }
    }
}

/// Waits.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// A ping is sent this often.
    pub keepalive: Duration,
    /// After this silence a system is offline.
    pub offline_after: Duration,
    /// For the TLS handshake; for the HTTP request; for the hello; and for each answer of a sign-in.
    pub handshake_timeout: Duration,
    /// For the answer to a request.
    pub request_timeout: Duration,
    /// For one message to leave.
    pub send_timeout: Duration,
    /// For one question to the directory.
    pub directory_timeout: Duration,
    /// After `LockedTemporarily` and `TooManySessions` the sign-in is tried again; up to a fifth is added by chance.
    pub sign_in_again_after: Duration,
    /// A new session repeats a sign-in that was refused for another reason no sooner than this after it.
    pub refused_sign_in_again_after: Duration,
    /// Between two sign-ins of one session at least; also the wait after the directory failed.
    pub sign_in_interval: Duration,
    /// For the other side to take the last message and close.
    pub linger: Duration,
    /// For all sessions to be closed at shutdown.
    pub drain: Duration,
    /// At shutdown each session is closed at some moment within this time, so that not all systems dial the other replicas at once. Shorter than `drain`.
    pub leave_within: Duration,
    /// Life of a client certificate.
    pub certificate_lifetime: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            keepalive: protocol::KEEPALIVE,
            offline_after: protocol::OFFLINE_AFTER,
            handshake_timeout: protocol::HANDSHAKE_TIMEOUT,
            request_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(15),
            directory_timeout: Duration::from_secs(10),
            sign_in_again_after: Duration::from_secs(60),
            refused_sign_in_again_after: Duration::from_secs(600),
            sign_in_interval: Duration::from_secs(2),
            linger: Duration::from_secs(2),
            drain: Duration::from_secs(5),
            leave_within: Duration::ZERO,
            certificate_lifetime: Duration::from_secs(365 * 24 * 60 * 60),
        }
    }
}

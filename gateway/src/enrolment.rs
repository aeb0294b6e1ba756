//! A code becomes a certificate, once; a certificate becomes a newer one.
//!
//! Wrong codes cost their sender tries, per address, per customer and over all, in tables that never grow. Nothing a peer sends before its code
//! was right causes a write.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::ids::{CustomerId, SystemKey};
use model::secret::Secret;
use protocol::enrolment::{CertificateAnswer, EnrolmentRequest, Problem, ProblemReason, RenewalRequest};
use protocol::{OLDEST_VERSION, VERSION};
use ring::hmac;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use uuid::Uuid;

use crate::authority::{IssueError, Issued, RequestedKey};
use crate::directory::{Candidate, DirectoryError};
use crate::identity::Identity;
use crate::options::Limits;
use crate::peers::Unproved;
use crate::rate::{MeterTable, SharedMeter};
use crate::registration;
use crate::shared::Shared;

/// Enrolments that are remembered, so that a system whose answer was lost can ask again with the same key.
const REMEMBERED: usize = 1024;

/// What was given out lately.
struct Recent {
    key: SystemKey,
    enrolment_id: String,
    digest: [u8; 32],
}

pub(crate) struct Enrolments {
    per_address: MeterTable,
    per_customer: MeterTable,
    together: SharedMeter,
    renewals: MeterTable,
    /// New systems that nobody declared.
    pub(crate) registrations: MeterTable,
    /// Questions to the directory that go beyond what is in memory, of one system and together.
    looks: MeterTable,
    looks_together: SharedMeter,
    recent: Mutex<VecDeque<Recent>>,
    /// Codes are compared by their keyed digests, so that not even the length shows in the time it takes.
    comparison: hmac::Key,
}

impl Enrolments {
    pub(crate) fn new(limits: &Limits) -> Self {
        let random = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        Self {
            per_address: MeterTable::new(limits.failures_per_address, limits.failure_places),
            per_customer: MeterTable::new(limits.failures_per_customer, limits.failure_places),
            together: SharedMeter::new(limits.failures),
            renewals: MeterTable::new(limits.renewals, limits.failure_places),
            registrations: MeterTable::new(limits.registrations, limits.failure_places),
            looks: MeterTable::new(limits.looks, limits.failure_places),
            looks_together: SharedMeter::new(limits.looks_together),
            recent: Mutex::new(VecDeque::new()),
            comparison: hmac::Key::new(hmac::HMAC_SHA256, &random),
        }
    }

    /// Whether the directory may be asked again for this system.
    pub(crate) fn may_look(&self, key: &SystemKey) -> bool {
        self.looks.take(key).is_ok() && self.looks_together.take().is_ok()
    }

    fn matches(&self, expected: Option<&Secret>, candidate: &Secret) -> bool {
        let expected_tag = hmac::sign(&self.comparison, expected.map_or("", Secret::expose).as_bytes());
        let same = hmac::verify(&self.comparison, candidate.expose().as_bytes(), expected_tag.as_ref()).is_ok();
        same && expected.is_some_and(|code| !code.expose().is_empty())
    }

    /// Takes a try; it is given back if the code was right.
    fn take_try(&self, address: IpAddr, customer: &CustomerId) -> Result<(), Duration> {
        let address = network_of(address);
        self.per_address.take(&address)?;
        if let Err(wait) = self.per_customer.take(customer) {
            self.per_address.give_back(&address);
            return Err(wait);
        }
        if let Err(wait) = self.together.take() {
            self.per_address.give_back(&address);
            self.per_customer.give_back(customer);
            return Err(wait);
        }
        Ok(())
    }

    fn give_back_try(&self, address: IpAddr, customer: &CustomerId) {
        self.per_address.give_back(&network_of(address));
        self.per_customer.give_back(customer);
        self.together.give_back();
    }

    fn remember(&self, key: SystemKey, enrolment_id: String, digest: [u8; 32]) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|entry| entry.key != key);
        if recent.len() >= REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(Recent { key, enrolment_id, digest });
    }

    /// Whether this very key got this enrolment lately.
    fn remembers(&self, key: &SystemKey, enrolment_id: &str, digest: &[u8; 32]) -> bool {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().any(|entry| entry.key == *key && entry.enrolment_id == enrolment_id && entry.digest == *digest)
    }
}

/// Who has one IPv6 address has the whole /64.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// `POST /v1/enrol`.
pub(crate) async fn enrol(shared: &Arc<Shared>, address: IpAddr, body: &[u8]) -> Result<CertificateAnswer, Problem> {
    let request: EnrolmentRequest = read(body)?;
    request.check().map_err(|error| problem(ProblemReason::Malformed, error.to_string()))?;
    let key = SystemKey { customer: request.customer_id, system: request.system_id };
    shared.enrolments.take_try(address, &key.customer).map_err(|wait| {
        shared.peers.note(address, &key, Unproved::TooManyRequests, jiff::Timestamp::now());
        too_many(wait, "tries", "check the enrolment code before the next")
    })?;
    // The customer's code alone is asked for here: whether the system is known costs and changes nothing until the code was right.
    let code = shared.directory.customer_code(&key.customer);
    if !shared.enrolments.matches(code.as_ref(), &request.enrolment_code) {
        let why = if code.is_some() { Unproved::WrongCode } else { Unproved::UnknownCustomer };
        shared.peers.note(address, &key, why, jiff::Timestamp::now());
        return Err(problem(
            ProblemReason::NotRecognised,
            "customer id, system id or enrolment code is wrong; compare them with the subscription e-mail",
        ));
    }
    shared.enrolments.give_back_try(address, &key.customer);
    shared.peers.proved(address, &key);
    let requested = RequestedKey::from_request(&request.certificate_request).map_err(|error| issue_problem(&error))?;
    let Some(entry) = shared.directory.system(&key) else {
        let address = address.to_canonical();
        let candidate = Candidate { name: request.system_name, profile: request.profile, version: request.version, address };
        return Err(registration::turn_away(shared, key, candidate).await);
    };
    if entry.enrolment_allowed {
        let identity = Identity { key, enrolment_id: Uuid::new_v4().to_string() };
        let issued = issue(shared, &requested, &identity)?;
        record(shared, &identity, requested.digest).await?;
        tracing::info!(customer = %identity.key.customer, system = %identity.key.system, peer = %address, "system enrolled");
        return Ok(answer(shared, issued));
    }
    match entry.enrolment_id {
        Some(enrolment_id) if shared.enrolments.remembers(&key, &enrolment_id, &requested.digest) => {
            Ok(answer(shared, issue(shared, &requested, &Identity { key, enrolment_id })?))
        }
        _ => Err(already_enrolled()),
    }
}

/// Records the enrolment in a task of its own: once begun it is finished and remembered, even if the peer goes away.
async fn record(shared: &Arc<Shared>, identity: &Identity, digest: [u8; 32]) -> Result<(), Problem> {
    let (shared, identity) = (shared.clone(), identity.clone());
    let limit = shared.times.directory_timeout;
    let recording = tokio::spawn(async move {
        let recorded = shared.directory.record_enrolment(&identity.key, &identity.enrolment_id).await;
        if recorded.is_ok() {
            shared.enrolments.remember(identity.key, identity.enrolment_id, digest);
        }
        recorded
    });
    match timeout(limit, recording).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(DirectoryError::AlreadyEnrolled))) => Err(already_enrolled()),
        Ok(Ok(Err(DirectoryError::Unknown))) => Err(problem(ProblemReason::NotRecognised, "the system was deleted while it enrolled")),
        Ok(Ok(Err(error @ DirectoryError::Unavailable(_)))) => {
            tracing::warn!(reason = %error, "an enrolment could not be recorded");
            Err(unavailable())
        }
        Ok(Err(_)) | Err(_) => Err(unavailable()),
    }
}

/// `POST /v1/renew`.
pub(crate) fn renew(shared: &Shared, identity: &Identity, body: &[u8]) -> Result<CertificateAnswer, Problem> {
    let request: RenewalRequest = read(body)?;
    shared.enrolments.renewals.take(&identity.key).map_err(|wait| too_many(wait, "renewals", "renew once renewAfter has come"))?;
    let requested = RequestedKey::from_request(&request.certificate_request).map_err(|error| issue_problem(&error))?;
    let issued = issue(shared, &requested, identity)?;
    tracing::info!(customer = %identity.key.customer, system = %identity.key.system, "certificate renewed");
    Ok(answer(shared, issued))
}

fn issue(shared: &Shared, requested: &RequestedKey, identity: &Identity) -> Result<Issued, Problem> {
    shared.authority.issue_client(requested, identity, shared.times.certificate_lifetime).map_err(|error| issue_problem(&error))
}

fn answer(shared: &Shared, issued: Issued) -> CertificateAnswer {
    CertificateAnswer {
        certificate: issued.certificate_pem,
        authority: shared.trust.borrow().clone(),
        renew_after: issued.renew_after,
        expires: issued.expires,
    }
}

/// Reads a body, the version before the rest, which another version may write differently.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    #[derive(Deserialize)]
    struct Version {
        protocol: u64,
    }
    if let Ok(Version { protocol }) = serde_json::from_slice(body)
        && !(u64::from(OLDEST_VERSION)..=u64::from(VERSION)).contains(&protocol)
    {
        let message = format!("protocol version {protocol} is not spoken here; versions {OLDEST_VERSION} to {VERSION} are");
        return Err(problem(ProblemReason::UnsupportedVersion, message));
    }
    serde_json::from_slice(body).map_err(|error| {
        problem(ProblemReason::Malformed, format!("the body could not be read: {error}; see docs/protocol.md for what is expected"))
    })
}

/// A refusal without a wait.
pub(crate) fn problem(reason: ProblemReason, message: impl Into<String>) -> Problem {
    Problem { reason, message: message.into(), retry_after_seconds: None }
}

fn already_enrolled() -> Problem {
    problem(ProblemReason::AlreadyEnrolled, "the system is enrolled already; an administrator must allow it to enrol again")
}

pub(crate) fn unavailable() -> Problem {
    Problem { retry_after_seconds: Some(5), ..problem(ProblemReason::Unavailable, "COM cannot answer now; try again in a moment") }
}

/// A refusal of too many of something, with advice.
pub(crate) fn too_many(wait: Duration, what: &str, advice: &str) -> Problem {
    let seconds = (wait.as_secs_f64().ceil() as u64).max(1);
    Problem {
        retry_after_seconds: Some(seconds),
        ..problem(ProblemReason::TooManyRequests, format!("too many {what}; wait {seconds} s, and {advice}"))
    }
}

fn issue_problem(error: &IssueError) -> Problem {
    match error {
        IssueError::Request(_) => problem(ProblemReason::Malformed, error.to_string()),
        IssueError::Cryptography(_) => {
            tracing::error!(reason = %error, "a certificate could not be signed");
            unavailable()
        }
    }
}

//! Numbers about the gateway, for Prometheus. Every label comes from an enum, so the number of series is fixed.

use std::sync::{Arc, Weak};

use model::account::SignInOutcome;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use protocol::enrolment::ProblemReason;
use protocol::message::FromSystem;

use crate::authority::Authority;
use crate::certificate_metrics::CertificatesCollector;
use crate::peers::{Unproved, UnprovedPeers};
use crate::replicas::metrics::ReplicaMetrics;
use crate::server_certificate::{ServerCertificate, end_of};
use crate::sessions::end::EndReason;
use crate::sessions::table::Table;

/// Why a peer is refused a certificate or a session.
const PROBLEMS: [ProblemReason; 11] = [
    ProblemReason::NotRecognised,
    ProblemReason::AlreadyEnrolled,
    ProblemReason::TooManyRequests,
    ProblemReason::Malformed,
    ProblemReason::TooLarge,
    ProblemReason::UnsupportedVersion,
    ProblemReason::CertificateNotAccepted,
    ProblemReason::Unavailable,
    ProblemReason::ApprovalPending,
    ProblemReason::Denied,
    ProblemReason::TooManyRegistrations,
];

/// What `message_label` gives, and what stands for a message that cannot be read.
const MESSAGES: [&str; 8] = ["hello", "challenge", "sign_in_result", "account_changed", "report", "answer", "goodbye", "unreadable"];

/// What `outcome_label` gives, and what stands for a system that could not prove that it knows the password.
const SIGN_INS: [&str; 11] = [
    "accepted",
    "wrong_password",
    "unknown_user",
    "disabled_by_administrator",
    "disabled",
    "locked_temporarily",
    "password_expired",
    "new_password_required",
    "too_many_sessions",
    "no_credentials",
    "unproved",
];

/// Why a connection or request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Problem(ProblemReason),
    TlsFailed,
    ConnectionsOfAddress,
    RequestTimedOut,
    OldSession,
}

impl Refusal {
    fn label(self) -> &'static str {
        match self {
            Self::Problem(reason) => problem_label(reason),
            Self::TlsFailed => "tls_failed",
            Self::ConnectionsOfAddress => "connections_of_address",
            Self::RequestTimedOut => "request_timed_out",
            Self::OldSession => "old_session",
        }
    }
}

fn problem_label(reason: ProblemReason) -> &'static str {
    match reason {
        ProblemReason::NotRecognised => "not_recognised",
        ProblemReason::AlreadyEnrolled => "already_enrolled",
        ProblemReason::TooManyRequests => "too_many_requests",
        ProblemReason::Malformed => "malformed",
        ProblemReason::TooLarge => "too_large",
        ProblemReason::UnsupportedVersion => "unsupported_version",
        ProblemReason::CertificateNotAccepted => "certificate_not_accepted",
        ProblemReason::Unavailable => "unavailable",
        ProblemReason::ApprovalPending => "approval_pending",
        ProblemReason::Denied => "denied",
        ProblemReason::TooManyRegistrations => "too_many_registrations",
    }
}

fn message_label(message: &FromSystem) -> &'static str {
    match message {
        FromSystem::Hello(_) => "hello",
        FromSystem::Challenge { .. } => "challenge",
        FromSystem::SignInResult(_) => "sign_in_result",
        FromSystem::AccountChanged => "account_changed",
        FromSystem::Report(_) => "report",
        FromSystem::Answer(_) => "answer",
        FromSystem::Goodbye { .. } => "goodbye",
    }
}

fn outcome_label(outcome: Option<&SignInOutcome>) -> &'static str {
    match outcome {
        None => "no_credentials",
        Some(SignInOutcome::Accepted { .. }) => "accepted",
        Some(SignInOutcome::WrongPassword) => "wrong_password",
        Some(SignInOutcome::UnknownUser) => "unknown_user",
        Some(SignInOutcome::DisabledByAdministrator) => "disabled_by_administrator",
        Some(SignInOutcome::Disabled) => "disabled",
        Some(SignInOutcome::LockedTemporarily) => "locked_temporarily",
        Some(SignInOutcome::PasswordExpired) => "password_expired",
        Some(SignInOutcome::NewPasswordRequired) => "new_password_required",
        Some(SignInOutcome::TooManySessions) => "too_many_sessions",
    }
}

/// Numbers about the gateway.
#[derive(Debug, Clone)]
pub struct Metrics {
    connections: IntGauge,
    enrolments: IntCounterVec,
    session_ends: IntCounterVec,
    messages: IntCounterVec,
    sign_ins: IntCounterVec,
    refusals: IntCounterVec,
    sessions: SessionsCollector,
    peers: PeersCollector,
    pub(crate) replicas: ReplicaMetrics,
    certificates: (Weak<ServerCertificate>, Option<i64>),
}

impl Metrics {
    pub(crate) fn new(table: Weak<Table>, peers: Weak<UnprovedPeers>) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, label: &str| IntCounterVec::new(Opts::new(name, help), &[label]);
        Ok(Self {
            connections: IntGauge::new("switchboard_gateway_connections", "Connections of systems and of peers that proved nothing yet.")?,
            enrolments: counters("switchboard_gateway_enrolments_total", "Certificates asked for, by what came of it.", "result")?,
            session_ends: counters("switchboard_gateway_session_ends_total", "Ended sessions, by why.", "reason")?,
            messages: counters("switchboard_gateway_messages_total", "Messages received from systems.", "type")?,
            sign_ins: counters("switchboard_gateway_sign_ins_total", "Sign-ins to systems, by what the system decided.", "outcome")?,
            refusals: counters("switchboard_gateway_refusals_total", "Refused connections and requests, by why.", "reason")?,
            sessions: SessionsCollector::new(table)?,
            peers: PeersCollector::new(peers)?,
            replicas: ReplicaMetrics::new()?,
            certificates: (Weak::new(), None),
        }
        .with_all_labels())
    }

    /// With the ends of these certificates.
    pub(crate) fn with_certificates(self, server: &Arc<ServerCertificate>, authority: &Authority) -> Self {
        Self { certificates: (Arc::downgrade(server), end_of(authority.certificate())), ..self }
    }

    /// Makes every series, so that the first event is a step from 0 to 1 and rates see it.
    fn with_all_labels(self) -> Self {
        for label in PROBLEMS.map(problem_label).into_iter().chain(["enrolled", "renewed"]) {
            self.enrolments.with_label_values(&[label]);
        }
        let others = [Refusal::TlsFailed, Refusal::ConnectionsOfAddress, Refusal::RequestTimedOut, Refusal::OldSession];
        for refusal in PROBLEMS.map(Refusal::Problem).into_iter().chain(others) {
            self.refusals.with_label_values(&[refusal.label()]);
        }
        for reason in EndReason::ALL {
            self.session_ends.with_label_values(&[reason.label()]);
        }
        for label in MESSAGES {
            self.messages.with_label_values(&[label]);
        }
        for label in SIGN_INS {
            self.sign_ins.with_label_values(&[label]);
        }
        self
    }

    /// Registers all of them.
    ///
    /// # Errors
    /// Another collector has one of the names.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.connections.clone()))?;
        for counters in [&self.enrolments, &self.session_ends, &self.messages, &self.sign_ins, &self.refusals] {
            registry.register(Box::new(counters.clone()))?;
        }
        registry.register(Box::new(self.sessions.clone()))?;
        registry.register(Box::new(self.peers.clone()))?;
        self.replicas.register(registry)?;
        let (server, authority_ends) = self.certificates.clone();
        registry.register(Box::new(CertificatesCollector::new(server, authority_ends)?))
    }

    pub(crate) fn connection(&self) -> ConnectionGauge {
        self.connections.inc();
        ConnectionGauge(self.connections.clone())
    }

    pub(crate) fn enrolment(&self, result: Result<&'static str, ProblemReason>) {
        self.enrolments.with_label_values(&[result.unwrap_or_else(problem_label)]).inc();
    }

    pub(crate) fn session_end(&self, reason: EndReason) {
        self.session_ends.with_label_values(&[reason.label()]).inc();
    }

    pub(crate) fn message(&self, message: Option<&FromSystem>) {
        self.messages.with_label_values(&[message.map_or("unreadable", message_label)]).inc();
    }

    pub(crate) fn sign_in(&self, outcome: Option<&SignInOutcome>) {
        self.sign_ins.with_label_values(&[outcome_label(outcome)]).inc();
    }

    pub(crate) fn sign_in_unproved(&self) {
        self.sign_ins.with_label_values(&["unproved"]).inc();
    }

    pub(crate) fn refusal(&self, refusal: Refusal) {
        self.refusals.with_label_values(&[refusal.label()]).inc();
    }
}

/// Counts a connection while it lives.
#[derive(Debug)]
pub(crate) struct ConnectionGauge(IntGauge);

impl Drop for ConnectionGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts sessions by state when it is asked, from the table itself.
#[derive(Debug, Clone)]
struct SessionsCollector {
    table: Weak<Table>,
    gauge: IntGaugeVec,
}

impl SessionsCollector {
    fn new(table: Weak<Table>) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("switchboard_gateway_sessions", "Sessions of systems: connected only, or signed in as well.");
        Ok(Self { table, gauge: IntGaugeVec::new(opts, &["state"])? })
    }
}

impl Collector for SessionsCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (connected, signed_in) = self.table.upgrade().map_or((0, 0), |table| table.count());
        self.gauge.with_label_values(&["connected"]).set(connected);
        self.gauge.with_label_values(&["signed_in"]).set(signed_in);
        self.gauge.collect()
    }
}

/// Counts the peers that proved nothing when it is asked, from the list itself.
#[derive(Debug, Clone)]
struct PeersCollector {
    peers: Weak<UnprovedPeers>,
    gauge: IntGaugeVec,
}

impl PeersCollector {
    fn new(peers: Weak<UnprovedPeers>) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("switchboard_gateway_unproved_peers", "Peers of the last day that tried to enrol and proved nothing, by why.");
        Ok(Self { peers, gauge: IntGaugeVec::new(opts, &["reason"])? })
    }
}

impl Collector for PeersCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for reason in Unproved::ALL {
            let count = self.peers.upgrade().map_or(0, |peers| peers.count(reason));
            self.gauge.with_label_values(&[reason.label()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.gauge.collect()
    }
}

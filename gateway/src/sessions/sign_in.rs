//! COM's sign-in to the system: what was sent, what is expected, when again.
//!
//! A refused sign-in is not repeated by itself in its session, and in the next ones at most every ten minutes, because a system locks an
//! account after some wrong tries. Only what passes by itself
//! (`LockedTemporarily`, `TooManySessions`) and what was not the account's fault (the directory could not answer) is tried again.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::account::SignInOutcome;
use model::ids::SystemKey;
use model::rights::Right;
use protocol::message::{CloseReason, FromGateway, SignInResult};
use protocol::scram::{Client, ClientVerifier, ScramError};
use tokio::time::{Instant, timeout};

use crate::directory::{Credentials, DirectoryError};
use crate::sessions::end::End;
use crate::shared::Shared;

/// Doublings of the wait after the directory failed.
const MOST_DOUBLINGS: u32 = 5;

#[derive(Debug)]
enum Stage {
    Idle,
    /// The directory is asked for credentials, or a proof is computed.
    Working,
    /// Waits for the system's challenge.
    Sent(Client),
    /// Waits for the system's decision.
    Proved(ClientVerifier),
}

/// What came of something that took time.
pub(crate) enum Work {
    Credentials(Result<Option<Credentials>, DirectoryError>),
    Proof(Result<(ClientVerifier, String), ScramError>),
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    Nothing,
    Send(FromGateway),
    Decided(Option<SignInOutcome>),
}

pub(crate) struct SignIn {
    shared: Arc<Shared>,
    key: SystemKey,
    stage: Stage,
    work: Option<BoxFuture<'static, Work>>,
    /// Asked for while one was under way.
    again: bool,
    again_at: Option<Instant>,
    /// When the system must have answered.
    deadline: Option<Instant>,
    started: Option<Instant>,
    directory_failures: u32,
}

impl SignIn {
    pub(crate) fn new(shared: Arc<Shared>, key: SystemKey) -> Self {
        Self {
            shared,
            key,
            stage: Stage::Idle,
            work: None,
            again: false,
            again_at: None,
            deadline: None,
            started: None,
            directory_failures: 0,
        }
    }

    /// Signs in, now or as soon as may be.
    pub(crate) fn begin(&mut self) {
        if !matches!(self.stage, Stage::Idle) {
            self.again = true;
            return;
        }
        let now = Instant::now();
        let earliest = self.started.map_or(now, |started| started + self.shared.times.sign_in_interval);
        if earliest > now {
            self.again_at = Some(self.again_at.map_or(earliest, |at| at.min(earliest)));
            return;
        }
        (self.again_at, self.started, self.stage) = (None, Some(now), Stage::Working);
        let (shared, key) = (self.shared.clone(), self.key.clone());
        self.work = Some(
            async move {
                let asked = timeout(shared.times.directory_timeout, shared.directory.credentials(&key)).await;
                Work::Credentials(asked.unwrap_or_else(|_| Err(DirectoryError::Unavailable("it did not answer in time".into()))))
            }
            .boxed(),
        );
    }

    /// Signs in at a time, unless something asks for it before.
    pub(crate) fn begin_at(&mut self, at: Instant) {
        self.again_at = Some(at);
    }

    /// Waits for what takes time. May be dropped and called again.
    pub(crate) async fn work(&mut self) -> Work {
        let Some(work) = self.work.as_mut() else { return future::pending().await };
        let done = work.await;
        self.work = None;
        done
    }

    /// When [`SignIn::on_time`] wants to be called.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        [self.deadline, self.again_at].into_iter().flatten().min()
    }

    pub(crate) fn on_time(&mut self, now: Instant) -> Result<(), End> {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(End::Close(CloseReason::TimedOut, "the system did not answer COM's sign-in in time; connect again".into()));
        }
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            self.begin();
        }
        Ok(())
    }

    pub(crate) fn on_work(&mut self, work: Work) -> Result<Step, End> {
        match work {
            Work::Credentials(Ok(Some(credentials))) => {
                self.directory_failures = 0;
                let (client, scram) = Client::start(&credentials.user, credentials.password);
                self.expect(Stage::Sent(client));
                Ok(Step::Send(FromGateway::SignIn { scram }))
            }
            Work::Credentials(Ok(None)) => {
                self.directory_failures = 0;
                self.finish();
                Ok(Step::Decided(None))
            }
            Work::Credentials(Err(DirectoryError::Unknown)) => {
                Err(End::Close(CloseReason::NotRecognised, "the system is not known any more; was it deleted in COM?".into()))
            }
            Work::Credentials(Err(error)) => {
                tracing::info!(customer = %self.key.customer, system = %self.key.system, reason = %error, "credentials could not be read");
                self.finish();
                let wait = self.shared.times.sign_in_interval * 2u32.pow(self.directory_failures.min(MOST_DOUBLINGS));
                self.directory_failures += 1;
                self.again_at = Some(Instant::now() + with_jitter(wait));
                Ok(Step::Nothing)
            }
            Work::Proof(Ok((verifier, scram))) => {
                self.expect(Stage::Proved(verifier));
                Ok(Step::Send(FromGateway::Proof { scram }))
            }
            Work::Proof(Err(error)) => Err(End::Close(CloseReason::Malformed, error.to_string())),
        }
    }

    /// The system's challenge came: the proof costs time, so it is computed on another thread, a few at a time over all sessions.
    pub(crate) fn on_challenge(&mut self, challenge: String) -> Result<Step, End> {
        let client = match std::mem::replace(&mut self.stage, Stage::Working) {
            Stage::Sent(client) => client,
            Stage::Idle | Stage::Working | Stage::Proved(_) => return Err(unexpected("challenge")),
        };
        self.deadline = None;
        let proofs = self.shared.proofs.clone();
        self.work = Some(
            async move {
                // The permit goes along, so that work goes on being counted when the session that wanted it is gone.
                let Ok(permit) = proofs.acquire_owned().await else { return future::pending().await };
                let proof = tokio::task::spawn_blocking(move || {
                    let proof = client.answer(&challenge);
                    drop(permit);
                    proof
                });
                Work::Proof(proof.await.unwrap_or(Err(ScramError::Malformed("the proof could not be computed"))))
            }
            .boxed(),
        );
        Ok(Step::Nothing)
    }

    /// The system decided. It may do so without a challenge where the account cannot be used at all, but it must prove itself to accept.
    pub(crate) fn on_result(&mut self, result: SignInResult) -> Result<Step, End> {
        let verifier = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Sent(_) => None,
            Stage::Proved(verifier) => Some(verifier),
            Stage::Idle | Stage::Working => return Err(unexpected("signInResult")),
        };
        let outcome = match result.outcome {
            SignInOutcome::Accepted { rights } => {
                let proved = verifier.zip(result.scram).is_some_and(|(verifier, server_final)| verifier.check(&server_final).is_ok());
                if !proved {
                    self.shared.metrics.sign_in_unproved();
                    return Err(End::Unproved);
                }
                // Each right once, whatever was sent.
                SignInOutcome::Accepted { rights: Right::ALL.into_iter().filter(|right| rights.contains(right)).collect() }
            }
            other => other,
        };
        self.finish();
        match outcome {
            SignInOutcome::LockedTemporarily | SignInOutcome::TooManySessions => {
                self.again_at.get_or_insert(Instant::now() + with_jitter(self.shared.times.sign_in_again_after));
            }
            SignInOutcome::Accepted { .. }
            | SignInOutcome::WrongPassword
            | SignInOutcome::UnknownUser
            | SignInOutcome::DisabledByAdministrator
            | SignInOutcome::Disabled
            | SignInOutcome::PasswordExpired
            | SignInOutcome::NewPasswordRequired => {}
        }
        Ok(Step::Decided(Some(outcome)))
    }

    fn expect(&mut self, stage: Stage) {
        self.stage = stage;
        self.deadline = Some(Instant::now() + self.shared.times.handshake_timeout);
    }

    fn finish(&mut self) {
        (self.stage, self.deadline) = (Stage::Idle, None);
        if std::mem::take(&mut self.again) {
            self.begin();
        }
    }
}

fn unexpected(message: &str) -> End {
    End::Close(CloseReason::Malformed, format!("a {message} came that nobody asked for; see docs/protocol.md for the order of messages"))
}

/// Up to a fifth more, so that systems that were refused together do not come back together.
fn with_jitter(wait: Duration) -> Duration {
    let chance = uuid::Uuid::new_v4().as_bytes()[0];
    wait + wait.mul_f32(f32::from(chance) / 256.0 / 5.0)
}

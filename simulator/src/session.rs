//! One session with COM, from hello to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{SinkExt as _, StreamExt as _};
use protocol::message::{
    Answer, AnswerResult, CloseReason, Command, Departure, Facts, FromGateway, FromSystem, Hello, Request, SignInResult,
};
use protocol::{VERSION, frame};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::accounts::Standing;
use crate::backoff::transit;
use crate::causes::{Network, Reboot};
use crate::connect::{ConnectError, Socket};
use crate::disk::DiskError;
use crate::disk::identity::Identity;
use crate::fleet::Counted;
use crate::inputs::{Inputs, Subscription};
use crate::log::Kind;
use crate::machine::{Exchange, SignInStep};
use crate::options::Options;
use crate::shared::Shared;
use crate::system::owed;
use crate::transfer::Transfers;
use crate::transfer::line::Restart;

mod upkeep;

/// How a session ended.
#[derive(Debug)]
pub enum SessionEnd {
    /// The system is switched off.
    Shutdown,
    /// The system restarts.
    Reboot(Reboot),
    /// The connection is gone. `good` sessions let the next try begin at the first wait again.
    Lost {
        /// Whether it stood for a while.
        good: bool,
        /// Whether trying again soon cannot help.
        needs_somebody: bool,
    },
}

/// What a session needs.
pub struct Session<'a> {
    /// The machine.
    pub shared: &'a Shared,
    /// What reaches it from outside.
    pub inputs: &'a mut watch::Receiver<Arc<Inputs>>,
    /// The subscription it was opened with.
    pub subscription: Subscription,
    /// The certificate it was opened with.
    pub identity: Identity,
    /// Times.
    pub options: &'a Options,
    /// Switches the system off.
    pub shutdown: &'a CancellationToken,
    /// Backups and restores.
    pub transfers: &'a Transfers,
    /// The restart that one of them asks for.
    pub restart: &'a watch::Receiver<Option<Restart>>,
}

/// Why the loop stops.
enum Stop {
    End(SessionEnd),
    Broken(String),
    Disk(DiskError),
}

impl From<DiskError> for Stop {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<tokio_tungstenite::tungstenite::Error> for Stop {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// What a running session knows.
struct Running<'a> {
    session: Session<'a>,
    socket: Socket,
    welcomed: Option<Instant>,
    heard: Instant,
    exchange: Option<Exchange>,
    signed_in: Option<String>,
    /// Name of the last sign-in, and how it stood after it.
    watched: Option<(String, Standing)>,
    reported: Facts,
    renewal: Option<BoxFuture<'static, Result<Identity, ConnectError>>>,
    renew_not_before: Instant,
    /// Commands that take a while; each is answered when it is done.
    working: JoinSet<Answer>,
    counted: Option<Counted>,
}

impl<'a> Session<'a> {
    /// Says hello and stays until the session ends.
    pub async fn run(self, socket: Socket) -> SessionEnd {
        let shared = self.shared.clone();
        let opened = Instant::now();
        let good_after = self.options.good_session_after;
        let (stop, good) = match self.begin(socket).await {
            Err(stop) => (stop, false),
            Ok(mut running) => {
                let stop = running.stay().await;
                (stop, running.welcomed.is_some() && opened.elapsed() >= good_after)
            }
        };
        match stop {
            Stop::End(SessionEnd::Lost { needs_somebody, .. }) => SessionEnd::Lost { good, needs_somebody },
            Stop::End(end) => end,
            Stop::Broken(why) => {
                shared.line(Kind::Com, format_args!("connection to COM lost: {why}"));
                SessionEnd::Lost { good, needs_somebody: false }
            }
            Stop::Disk(error) => {
                shared.line(Kind::Error, error);
                SessionEnd::Lost { good: false, needs_somebody: false }
            }
        }
    }

    async fn begin(self, socket: Socket) -> Result<Running<'a>, Stop> {
        let system_id = self.subscription.system_id.clone();
        let (session, facts) =
            self.shared.with(move |machine| machine.next_session().map(|session| (session, machine.facts(&system_id)))).await?;
        self.shared.line(
            Kind::Com,
            format_args!("connected to COM as {}-{}, session {session}", self.subscription.customer_id, self.subscription.system_id),
        );
        let hello = Hello {
            protocol: VERSION,
            customer_id: self.subscription.customer_id.clone(),
            system_id: self.subscription.system_id.clone(),
            session,
            facts: facts.clone(),
        };
        let now = Instant::now();
        let mut running = Running {
            session: self,
            socket,
            welcomed: None,
            heard: now,
            exchange: None,
            signed_in: None,
            watched: None,
            reported: facts,
            renewal: None,
            renew_not_before: now,
            working: JoinSet::new(),
            counted: None,
        };
        running.send(&FromSystem::Hello(Box::new(hello))).await?;
        Ok(running)
    }
}

impl Running<'_> {
    async fn stay(&mut self) -> Stop {
        let mut ticks = tokio::time::interval(self.session.options.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let step = self.step(&mut ticks).await;
            if let Err(stop) = step {
                return stop;
            }
        }
    }

    async fn step(&mut self, ticks: &mut tokio::time::Interval) -> Result<(), Stop> {
        let talking = self.session.inputs.borrow().causes.network.connected;
        let answered = self.working.is_empty();
        tokio::select! {
            biased;
            () = self.session.shutdown.cancelled() => {
                self.leave(Departure::Shutdown).await;
                Err(Stop::End(SessionEnd::Shutdown))
            }
            changed = self.session.inputs.changed() => match changed {
                Ok(()) => self.inputs_changed().await,
                Err(_) => Err(Stop::End(SessionEnd::Shutdown)),
            },
            // When the power fails nothing is answered any more.
            restart = power_fails(self.session.restart.clone()) => Err(Stop::End(SessionEnd::Reboot(restart.reboot))),
            Some(answer) = self.working.join_next() => self.worked(answer).await,
            // A restart for a restore waits for the answers that are due.
            restart = owed_after(self.session.restart.clone(), answered) => {
                if restart.goodbye {
                    self.leave(Departure::RebootForChange).await;
                }
                Err(Stop::End(SessionEnd::Reboot(restart.reboot)))
            }
            _ = ticks.tick() => self.tick().await,
            renewed = wait_for(&mut self.renewal) => {
                self.renewed(renewed);
                Ok(())
            }
            // Without a network nothing is read, so that what the peer sends stays unanswered.
            message = self.socket.next(), if talking => match message {
                None => Err(Stop::Broken("COM closed the connection".to_owned())),
                Some(message) => self.received(message?).await,
            },
        }
    }

    async fn received(&mut self, message: Message) -> Result<(), Stop> {
        travel(self.network()).await?;
        self.heard = Instant::now();
        match message {
            Message::Text(text) => self.text(text.as_str()).await,
            // The library has put the answer to a ping into its buffer.
            Message::Ping(_) => Ok(self.socket.flush().await?),
            Message::Pong(_) | Message::Frame(_) => Ok(()),
            Message::Binary(_) => Err(Stop::Broken("COM sent a binary message, which no session has".to_owned())),
            Message::Close(frame) => {
                let why = frame.map_or_else(String::new, |frame| format!(": {}", frame.reason));
                Err(Stop::Broken(format!("COM closed the session{why}")))
            }
        }
    }

    async fn text(&mut self, text: &str) -> Result<(), Stop> {
        match frame::parse::<FromGateway>(text) {
            Ok(message) => self.message(message).await,
            Err(error) => self.unknown(text, &error.to_string()).await,
        }
    }

    /// What a newer COM says is answered where it waits for an answer, and passed over otherwise.
    async fn unknown(&mut self, text: &str, error: &str) -> Result<(), Stop> {
        let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let id = value.get("id").and_then(serde_json::Value::as_u64);
        match (value.get("type").and_then(serde_json::Value::as_str), id) {
            (Some("request"), Some(id)) => {
                let message = "this system does not know the command; upgrade the system".to_owned();
                let result = AnswerResult::Failed { reason: "UnknownCommand".to_owned(), message };
                self.send(&FromSystem::Answer(Answer { id, result })).await
            }
            (Some(kind), _) if !kind.is_empty() => {
                self.line(Kind::Com, format_args!("COM sent a message that is not known here, passed over: {error}"));
                Ok(())
            }
            _ => Err(Stop::Broken(format!("COM sent what is no message: {error}"))),
        }
    }

    async fn message(&mut self, message: FromGateway) -> Result<(), Stop> {
        match message {
            FromGateway::Welcome { protocol, .. } => {
                self.welcomed = Some(Instant::now());
                self.counted = self.session.options.fleet.as_ref().map(Counted::new);
                self.line(Kind::Com, format_args!("welcomed by COM, protocol {protocol}"));
                Ok(())
            }
            FromGateway::SignIn { scram } => {
                self.exchange = None;
                let step = self.session.shared.with(move |machine| machine.begin_sign_in(&scram)).await;
                self.sign_in(step.map_err(|error| Stop::Broken(error.to_string()))?).await
            }
            FromGateway::Proof { scram } => match self.exchange.take() {
                None => Err(Stop::Broken("COM sent a proof before it was asked for one".to_owned())),
                Some(exchange) => {
                    let step = self.session.shared.with(move |machine| machine.prove(exchange, &scram)).await;
                    self.sign_in(step.map_err(|error| Stop::Broken(error.to_string()))?).await
                }
            },
            FromGateway::Request(request) if !matches!(request.command, Command::Configure(_)) => {
                self.begin(request);
                Ok(())
            }
            FromGateway::Request(request) => {
                let user = self.signed_in.clone();
                let answer = self.session.shared.with(move |machine| machine.execute(&request, user.as_deref())).await;
                self.send(&FromSystem::Answer(answer)).await?;
                self.report().await
            }
            FromGateway::Close { reason, message } => {
                self.line(Kind::Com, format_args!("COM ended the session ({reason:?}): {message}"));
                let needs_somebody = match reason {
                    CloseReason::Superseded
                    | CloseReason::UnsupportedVersion
                    | CloseReason::Malformed
                    | CloseReason::TooLarge
                    | CloseReason::NotRecognised => true,
                    CloseReason::TooManyMessages | CloseReason::TimedOut | CloseReason::GoingAway => false,
                };
                Err(Stop::End(SessionEnd::Lost { good: false, needs_somebody }))
            }
        }
    }

    /// Begins a command that takes a while. At most so many wait as COM may have waiting.
    fn begin(&mut self, request: Request) {
        let (transfers, user, id) = (self.session.transfers.clone(), self.signed_in.clone(), self.session.subscription.system_id.clone());
        if self.working.len() < MOST_WORKING {
            self.working.spawn(async move { transfers.execute(request, user, id).await });
            return;
        }
        let message = format!("{MOST_WORKING} requests are waiting already; wait for their answers");
        let answer = Answer { id: request.id, result: AnswerResult::Failed { reason: "TooManyRequests".to_owned(), message } };
        self.working.spawn(std::future::ready(answer));
    }

    async fn worked(&mut self, answer: Result<Answer, tokio::task::JoinError>) -> Result<(), Stop> {
        match answer {
            Ok(answer) => {
                self.send(&FromSystem::Answer(answer)).await?;
                self.report().await
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Ok(()),
            },
        }
    }

    async fn sign_in(&mut self, step: SignInStep) -> Result<(), Stop> {
        match step {
            SignInStep::Challenge { exchange, scram } => {
                self.exchange = Some(exchange);
                self.send(&FromSystem::Challenge { scram }).await
            }
            SignInStep::Decided { user, result, standing } => {
                self.signed_in = is_accepted(&result).then(|| user.clone());
                if let Some(counted) = &mut self.counted {
                    counted.set_signed_in(self.signed_in.is_some());
                }
                self.watched = Some((user, standing));
                self.send(&FromSystem::SignInResult(result)).await
            }
        }
    }

    /// Says goodbye. A peer that does not listen does not hold the system up.
    async fn leave(&mut self, reason: Departure) {
        if !self.talking() {
            return;
        }
        let goodbye = async {
            self.send(&FromSystem::Goodbye { reason }).await?;
            Ok::<(), Stop>(self.socket.close(None).await?)
        };
        let _ = tokio::time::timeout(FAREWELL, goodbye).await;
    }

    async fn send(&mut self, message: &FromSystem) -> Result<(), Stop> {
        travel(self.network()).await?;
        let garbled = self.session.inputs.borrow().causes.faults.garbled_messages;
        let text = if garbled { GARBLED.to_owned() } else { frame::write(message) };
        let sent = tokio::time::timeout(self.session.options.handshake_timeout, self.socket.send(Message::text(text))).await;
        match sent {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Stop::Broken("COM takes nothing any more".to_owned())),
        }
    }

    fn network(&self) -> Network {
        self.session.inputs.borrow().causes.network.clone()
    }

    fn talking(&self) -> bool {
        self.session.inputs.borrow().causes.network.connected
    }

    fn line(&self, kind: Kind, text: impl std::fmt::Display) {
        self.session.shared.line(kind, text);
    }
}

/// Takes the time a message is under way.
async fn travel(network: Network) -> Result<(), Stop> {
    match transit(&network) {
        None => Err(Stop::Broken("the network loses too much".to_owned())),
        Some(time) if time.is_zero() => Ok(()),
        Some(time) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
    }
}

/// The restart that is owed because the power fails.
async fn power_fails(mut restart: watch::Receiver<Option<Restart>>) -> Restart {
    let failing = restart.wait_for(|restart| restart.as_ref().is_some_and(|restart| !restart.goodbye)).await;
    match failing.ok().and_then(|restart| restart.clone()) {
        Some(restart) => restart,
        None => std::future::pending().await,
    }
}

/// The restart that is owed; one for a restore only when nothing is to be answered any more, or after a moment.
async fn owed_after(mut restart: watch::Receiver<Option<Restart>>, answered: bool) -> Restart {
    let restart = owed(&mut restart).await;
    if restart.goodbye && !answered {
        tokio::time::sleep_until(restart.since + FAREWELL).await;
    }
    restart
}

/// Most commands under way at a time, which is what COM has waiting at most.
const MOST_WORKING: usize = 16;
/// What damaged software says in place of every message.
const GARBLED: &str = "\u{1}\u{2}~~";
/// Longest time for a goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

fn is_accepted(result: &SignInResult) -> bool {
    matches!(result.outcome, model::account::SignInOutcome::Accepted { .. })
}

async fn wait_for(renewal: &mut Option<BoxFuture<'static, Result<Identity, ConnectError>>>) -> Result<Identity, ConnectError> {
    match renewal {
        Some(renewal) => renewal.await,
        None => std::future::pending().await,
    }
}

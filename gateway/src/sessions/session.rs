//! One session, from hello to its end.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use model::connectivity::Absence;
use model::system::ServerRole;
use protocol::message::{CloseReason, FromGateway, FromSystem, Hello};
use protocol::{OLDEST_VERSION, VERSION, frame};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};

use crate::identity::Identity;
use crate::metrics::Refusal;
use crate::rate::Meter;
use crate::sessions::control::Order;
use crate::sessions::end::End;
use crate::sessions::requests::Requests;
use crate::sessions::sign_in::{SignIn, Step, Work};
use crate::sessions::socket::{Received, Socket};
use crate::sessions::table::Place;
use crate::shared::Shared;

/// A message costs one more for each of these many bytes.
const BYTES_PER_TOKEN: usize = 16 * 1024;

/// Serves a connection whose certificate was accepted, until it ends.
pub(crate) async fn run(shared: Arc<Shared>, mut socket: Socket, identity: Identity, peer: SocketAddr) {
    let mut meter = Meter::new(shared.limits.messages);
    let end = match open(&shared, &mut socket, &mut meter, &identity).await {
        Ok((place, protocol)) => {
            log_start(&place, peer, protocol);
            let mut session = Session::new(shared.clone(), socket, meter, place);
            let end = session.serve(protocol).await;
            shared.table.end(&session.place, end.absence());
            socket = session.socket;
            end
        }
        Err(end) => {
            if let Some(absence) = absence_of_stranger(&end) {
                shared.table.stranger(&identity, absence);
            }
            end
        }
    };
    shared.metrics.session_end(end.reason());
    log_end(&shared, &identity, peer, &end);
    socket.finish(end.last_words(), shared.times.linger).await;
}

/// Reads the hello and lets the session in, or not.
async fn open(shared: &Shared, socket: &mut Socket, meter: &mut Meter, identity: &Identity) -> Result<(Place, u32), End> {
    let hello = tokio::select! {
        hello = timeout(shared.times.handshake_timeout, first_message(shared, socket, meter)) => hello
            .unwrap_or_else(|_| Err(End::Close(CloseReason::TimedOut, "no hello came in time; connect again and send it at once".into())))?,
        () = shared.closing.cancelled() => return Err(going_away()),
    };
    if (&hello.customer_id, &hello.system_id) != (&identity.key.customer, &identity.key.system) {
        let message = format!("the hello names {}/{} but the certificate is for {}", hello.customer_id, hello.system_id, identity.key);
        return Err(End::Close(CloseReason::NotRecognised, message));
    }
    if hello.facts.servers.first().is_some_and(|server| server.role != ServerRole::Primary) {
        return Err(End::NotPrimary);
    }
    let (session, protocol) = (hello.session, hello.protocol);
    let elsewhere = shared.replicas.as_ref().and_then(|replicas| replicas.newest(&identity.key, &identity.enrolment_id));
    let place = shared.table.begin(identity, session, hello.facts, elsewhere).map_err(|fenced| {
        shared.metrics.refusal(Refusal::OldSession);
        let message = format!(
            "session {session} is not newer than session {}, which COM has seen of this system; raise the counter before every connection. \
             If its disk was put back, enrol the system again",
            fenced.last
        );
        End::Close(CloseReason::Superseded, message)
    })?;
    Ok((place, protocol))
}

async fn first_message(shared: &Shared, socket: &mut Socket, meter: &mut Meter) -> Result<Hello, End> {
    loop {
        let received = socket.receive().await?;
        charge(meter, &received)?;
        let Received::Text(text) = received else { continue };
        check_version(&text)?;
        match parse(shared, &text)? {
            FromSystem::Hello(hello) => return Ok(*hello),
            _ => return Err(End::Close(CloseReason::Malformed, "the first message was no hello; begin with it".into())),
        }
    }
}

/// Looks at the version before the rest, which another version may write differently.
fn check_version(text: &str) -> Result<(), End> {
    #[derive(Deserialize)]
    struct Version {
        protocol: u64,
    }
    match frame::parse::<Version>(text) {
        Ok(Version { protocol }) if !(u64::from(OLDEST_VERSION)..=u64::from(VERSION)).contains(&protocol) => {
            let message = format!("protocol version {protocol} is not spoken here; versions {OLDEST_VERSION} to {VERSION} are");
            Err(End::Close(CloseReason::UnsupportedVersion, message))
        }
        _ => Ok(()),
    }
}

fn parse(shared: &Shared, text: &str) -> Result<FromSystem, End> {
    let parsed = frame::parse_from_system(text);
    shared.metrics.message(parsed.as_ref().ok());
    parsed.map_err(|error| {
        let reason = match error {
            frame::FrameError::TooLarge(_) => CloseReason::TooLarge,
            frame::FrameError::Malformed(_) | frame::FrameError::TooLong { .. } => CloseReason::Malformed,
        };
        End::Close(reason, error.to_string())
    })
}

fn charge(meter: &mut Meter, received: &Received) -> Result<(), End> {
    let size = match received {
        Received::Text(text) => text.len(),
        Received::Sign => 0,
    };
    let cost = u32::try_from(1 + size / BYTES_PER_TOKEN).unwrap_or(u32::MAX);
    meter.take(cost).map_err(|wait| {
        let message = format!("more messages came than are taken; send the next one after {} ms", wait.as_millis().max(1));
        End::Close(CloseReason::TooManyMessages, message)
    })
}

fn going_away() -> End {
    End::Close(CloseReason::GoingAway, "the gateway is going down; connect again".into())
}

/// What is known of a system in whose name something came and was not let in.
fn absence_of_stranger(end: &End) -> Option<Absence> {
    match end {
        End::NotPrimary => Some(Absence::NotPrimary),
        End::Close(reason, _) => match reason {
            CloseReason::Malformed
            | CloseReason::TooLarge
            | CloseReason::TooManyMessages
            | CloseReason::UnsupportedVersion
            | CloseReason::NotRecognised => Some(Absence::Unrecognised),
            CloseReason::Superseded | CloseReason::TimedOut | CloseReason::GoingAway => None,
        },
        End::Disconnected | End::Silent | End::Goodbye(_) | End::Unproved => None,
    }
}

struct Session {
    shared: Arc<Shared>,
    socket: Socket,
    meter: Meter,
    place: Place,
    sign_in: SignIn,
    requests: Requests,
    heard: Instant,
    next_ping: Instant,
    /// When the session ends because the gateway goes down.
    leaving: Option<Instant>,
}

/// What woke the session.
enum Event {
    Closing,
    Order(Order),
    Time,
    Work(Work),
    Received(Result<Received, End>),
}

impl Session {
    fn new(shared: Arc<Shared>, socket: Socket, meter: Meter, place: Place) -> Self {
        let now = Instant::now();
        Self {
            sign_in: SignIn::new(shared.clone(), place.identity.key.clone()),
            next_ping: now + shared.times.keepalive,
            heard: now,
            leaving: None,
            requests: Requests::default(),
            shared,
            socket,
            meter,
            place,
        }
    }

    async fn serve(&mut self, protocol: u32) -> End {
        match self.serve_until_end(protocol).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn serve_until_end(&mut self, protocol: u32) -> Result<std::convert::Infallible, End> {
        let times = self.shared.times;
        let welcome = FromGateway::Welcome {
            protocol,
            keepalive_seconds: times.keepalive.as_secs().max(1),
            offline_after_seconds: times.offline_after.as_secs().max(1),
            time: Timestamp::now(),
        };
        self.socket.send(&welcome).await?;
        let elsewhere = self.shared.replicas.as_ref().and_then(|replicas| replicas.refused(&self.place.identity.key));
        match self.shared.table.resume_refused(&self.place, elsewhere) {
            Some(refused_at) => self.sign_in.begin_at(refused_at + times.refused_sign_in_again_after),
            None => self.sign_in.begin(),
        }
        loop {
            match self.next_event().await {
                Event::Closing => self.leaving = Some(Instant::now() + times.leave_within.mul_f64(chance())),
                Event::Order(Order::End(end)) => return Err(end),
                Event::Order(Order::SignIn) => self.sign_in.begin(),
                Event::Order(Order::Ask(ask)) => {
                    let request = self.requests.add(ask, times.request_timeout);
                    self.socket.send(&FromGateway::Request(request)).await?;
                }
                Event::Time => self.on_time().await?,
                Event::Work(work) => {
                    let step = self.sign_in.on_work(work)?;
                    self.follow(step).await?;
                }
                Event::Received(received) => self.on_received(received?).await?,
            }
        }
    }

    /// Waits for whatever comes first. One timer serves all waits. What the peer sends comes last, so that it cannot drown the rest.
    async fn next_event(&mut self) -> Event {
        let wake = [
            Some(self.next_ping),
            Some(self.heard + self.shared.times.offline_after),
            self.sign_in.next_time(),
            self.requests.next_timeout(),
            self.leaving,
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.next_ping);
        tokio::select! {
            biased;
            () = self.shared.closing.cancelled(), if self.leaving.is_none() => Event::Closing,
            order = self.place.control.next() => Event::Order(order),
            () = sleep_until(wake) => Event::Time,
            work = self.sign_in.work() => Event::Work(work),
            received = self.socket.receive() => Event::Received(received),
        }
    }

    async fn on_time(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.leaving.is_some_and(|at| now >= at) {
            return Err(going_away());
        }
        if now >= self.heard + self.shared.times.offline_after {
            return Err(End::Silent);
        }
        if now >= self.next_ping {
            self.next_ping = now + self.shared.times.keepalive;
            self.check_enrolment()?;
            self.socket.ping().await?;
        }
        self.requests.time_out(now);
        self.sign_in.on_time(now)
    }

    /// A system that was deleted or whose enrolment was withdrawn is let go even if nobody says so.
    fn check_enrolment(&self) -> Result<(), End> {
        if self.shared.may_connect(&self.place.identity) {
            return Ok(());
        }
        let message = "the system was deleted or its enrolment withdrawn; enrol again with a new code".into();
        Err(End::Close(CloseReason::NotRecognised, message))
    }

    async fn on_received(&mut self, received: Received) -> Result<(), End> {
        self.heard = Instant::now();
        charge(&mut self.meter, &received)?;
        let Received::Text(text) = received else { return Ok(()) };
        match parse(&self.shared, &text)? {
            FromSystem::Hello(_) => Err(End::Close(CloseReason::Malformed, "a second hello came; a session has one".into())),
            FromSystem::Challenge { scram } => {
                let step = self.sign_in.on_challenge(scram)?;
                self.follow(step).await
            }
            FromSystem::SignInResult(result) => {
                let step = self.sign_in.on_result(result)?;
                self.follow(step).await
            }
            FromSystem::AccountChanged => {
                self.sign_in.begin();
                Ok(())
            }
            FromSystem::Report(facts) => {
                self.shared.table.report(&self.place, *facts);
                Ok(())
            }
            FromSystem::Answer(answer) => {
                let id = answer.id;
                if !self.requests.answer(answer) {
                    let key = &self.place.identity.key;
                    tracing::debug!(customer = %key.customer, system = %key.system, id, "an answer came that nobody waits for");
                }
                Ok(())
            }
            FromSystem::Goodbye { reason } => Err(End::Goodbye(reason)),
        }
    }

    async fn follow(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Nothing => Ok(()),
            Step::Send(message) => self.socket.send(&message).await,
            Step::Decided(outcome) => {
                self.shared.metrics.sign_in(outcome.as_ref());
                let key = &self.place.identity.key;
                tracing::debug!(customer = %key.customer, system = %key.system, ?outcome, "sign-in decided");
                self.shared.table.decide(&self.place, outcome);
                Ok(())
            }
        }
    }
}

/// Between 0 and 1.
fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0
}

fn log_start(place: &Place, peer: SocketAddr, protocol: u32) {
    let key = &place.identity.key;
    tracing::info!(customer = %key.customer, system = %key.system, %peer, protocol, "session begins");
}

/// One line a session; those of peers that misbehave are rationed, because a peer can cause as many as it likes.
fn log_end(shared: &Shared, identity: &Identity, peer: SocketAddr, end: &End) {
    let key = &identity.key;
    let reason = end.reason().label();
    let message = end.last_words().map(|(_, message)| message).unwrap_or_default();
    if !end.is_misbehaviour() || shared.peer_log_lines.take().is_ok() {
        tracing::info!(customer = %key.customer, system = %key.system, %peer, reason, message, "session ends");
    }
}

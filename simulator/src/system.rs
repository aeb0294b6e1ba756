//! A system from the moment it is switched on: starting, connecting, staying connected, restarting. Many can run in one process; each has a
//! disk folder of its own and shares the runtime.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, transit};
use crate::causes::Reboot;
use crate::clock::Clock;
use crate::connect::{ConnectError, Route, Socket};
use crate::disk::DiskError;
use crate::disk::identity::Identity;
use crate::enrolment;
use crate::inputs::{Inputs, Subscription};
use crate::log::Kind;
use crate::machine::{Changes, Machine};
use crate::options::Options;
use crate::session::{Session, SessionEnd};
use crate::shared::Shared;
use crate::transfer::Transfers;
use crate::transfer::line::Restart;

/// What a system is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It runs.
    Running,
    /// It is away for a restart.
    Restarting,
    /// It is switched off.
    Off,
}

/// A system.
#[derive(Debug)]
pub struct System {
    shared: Shared,
    inputs: watch::Receiver<Arc<Inputs>>,
    options: Options,
    phase: watch::Sender<Phase>,
    transfers: Transfers,
    restart: watch::Receiver<Option<Restart>>,
}

/// How serving ended.
enum Ended {
    Shutdown,
    Reboot(Reboot),
}

/// What came of an attempt to connect.
enum Progress {
    Connected(Box<Connected>),
    Failed(ConnectError),
    /// There is another way to COM now.
    Rerouted,
    Ended(Ended),
}

/// A connection that stands.
struct Connected {
    socket: Socket,
    identity: Identity,
    subscription: Subscription,
}

impl System {
    /// Switches a system on whose disk is `folder`.
    ///
    /// # Errors
    /// The disk cannot be used.
    pub fn open(
        folder: &Path,
        mut inputs: watch::Receiver<Arc<Inputs>>,
        truth: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, DiskError> {
        let first = inputs.borrow_and_update().clone();
        let machine = match &options.fleet {
            None => Machine::open(folder, first, truth, options.echo, options.log_limit)?,
            Some(fleet) => Machine::open_light(folder, first, truth, fleet.clone())?,
        };
        let folders = machine.folders();
        let shared = Shared::new(machine);
        let transfers = Transfers::new(folders, &shared, inputs.clone(), &options);
        let restart = transfers.restart();
        Ok(Self { shared, inputs, options, phase: watch::Sender::new(Phase::Running), transfers, restart })
    }

    /// Tells what the system is doing.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Runs the system until it is switched off.
    ///
    /// # Errors
    /// The disk cannot be written when the system starts again.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), DiskError> {
        let chatter = crate::chatter::chatter(self.shared.clone(), self.inputs.clone(), self.phase.subscribe());
        let life = self.live(&shutdown);
        let result = tokio::select! {
            result = life => result,
            never = chatter => match never {},
        };
        self.transfers.stop().await;
        self.phase.send_replace(Phase::Off);
        self.shared.line(Kind::System, "switched off");
        self.shared.close().await;
        result
    }

    async fn live(&mut self, shutdown: &CancellationToken) -> Result<(), DiskError> {
        loop {
            match self.serve(shutdown).await {
                Ended::Shutdown => return Ok(()),
                Ended::Reboot(reboot) => {
                    let mut next = Some(reboot);
                    while let Some(reboot) = next {
                        self.transfers.stop().await;
                        if self.outage(&reboot, shutdown).await {
                            return Ok(());
                        }
                        next = self.shared.with(Machine::start).await?;
                    }
                    self.phase.send_replace(Phase::Running);
                }
            }
        }
    }

    /// Away for a while. Returns whether the system was switched off meanwhile.
    async fn outage(&self, reboot: &Reboot, shutdown: &CancellationToken) -> bool {
        self.phase.send_replace(Phase::Restarting);
        self.shared.line(Kind::System, format_args!("restarting, back in {} s", reboot.outage_seconds));
        let wait = Duration::from_secs(u64::from(reboot.outage_seconds));
        tokio::select! {
            () = shutdown.cancelled() => true,
            () = tokio::time::sleep(wait) => false,
        }
    }

    async fn serve(&mut self, shutdown: &CancellationToken) -> Ended {
        let mut backoff = Backoff::new(self.options.first_retry, self.options.longest_retry);
        let mut due = Instant::now();
        loop {
            let wait = match self.connect(due, shutdown).await {
                Progress::Ended(ended) => return ended,
                Progress::Rerouted => {
                    backoff.reset();
                    Duration::ZERO
                }
                Progress::Failed(error) => self.wait_after(&error, &mut backoff),
                Progress::Connected(connected) => match self.session(*connected, shutdown).await {
                    SessionEnd::Shutdown => return Ended::Shutdown,
                    SessionEnd::Reboot(reboot) => return Ended::Reboot(reboot),
                    SessionEnd::Lost { good, needs_somebody } => {
                        if good {
                            backoff.reset();
                        }
                        if needs_somebody { self.options.slow_retry } else { backoff.next_wait() }
                    }
                },
            };
            due = Instant::now() + wait;
        }
    }

    /// One attempt to connect. What comes from outside meanwhile is taken in; an attempt is only given up for it when the way to COM is another,
    /// because the answer to an enrolment that was sent is worth waiting for.
    async fn connect(&mut self, due: Instant, shutdown: &CancellationToken) -> Progress {
        // Changes may have come during an outage, or when the disk could not be written.
        let inputs = self.inputs.borrow().clone();
        if self.shared.peek(|machine| machine.has_taken(&inputs)) != Some(true)
            && let Some(reboot) = self.take_inputs().await.reboot
        {
            return Progress::Ended(Ended::Reboot(reboot));
        }
        let inputs = self.inputs.borrow().clone();
        let attempt = attempt(self.shared.clone(), inputs, self.options.clone(), due);
        tokio::pin!(attempt);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Progress::Ended(Ended::Shutdown),
                reboot = owed(&mut self.restart) => return Progress::Ended(Ended::Reboot(reboot.reboot)),
                changed = self.inputs.changed() => {
                    if changed.is_err() {
                        return Progress::Ended(Ended::Shutdown);
                    }
                    match self.take_inputs().await {
                        Changes { reboot: Some(reboot), .. } => return Progress::Ended(Ended::Reboot(reboot)),
                        Changes { route: true, .. } => return Progress::Rerouted,
                        Changes { .. } => {}
                    }
                }
                connected = &mut attempt => return match connected {
                    Ok(connected) => Progress::Connected(Box::new(connected)),
                    Err(error) => Progress::Failed(error),
                },
            }
        }
    }

    fn wait_after(&self, error: &ConnectError, backoff: &mut Backoff) -> Duration {
        let wait = match error.retry_after() {
            Some(wait) => wait,
            None if error.needs_somebody() => self.options.slow_retry,
            None => backoff.next_wait(),
        };
        if let Some(fleet) = &self.options.fleet {
            fleet.failed(error);
        }
        self.shared.line(Kind::Com, format_args!("{error}; next try in {:.1} s", wait.as_secs_f64()));
        wait
    }

    async fn take_inputs(&mut self) -> Changes {
        let inputs = self.inputs.borrow_and_update().clone();
        match self.shared.with(move |machine| machine.take_inputs(&inputs)).await {
            Ok(changes) => changes,
            Err(error) => {
                self.shared.line(Kind::Error, error);
                Changes::default()
            }
        }
    }

    async fn session(&mut self, connected: Connected, shutdown: &CancellationToken) -> SessionEnd {
        let Connected { socket, identity, subscription } = connected;
        let session = Session {
            shared: &self.shared,
            inputs: &mut self.inputs,
            subscription,
            identity,
            options: &self.options,
            shutdown,
            transfers: &self.transfers,
            restart: &self.restart,
        };
        session.run(socket).await
    }
}

/// The restart that a restore or a failing power asks for, once there is one.
pub(crate) async fn owed(restart: &mut watch::Receiver<Option<Restart>>) -> Restart {
    if let Ok(owed) = restart.wait_for(Option::is_some).await
        && let Some(owed) = owed.clone()
    {
        return owed;
    }
    std::future::pending().await
}

/// Waits until the next try is due and the network is there, and connects.
async fn attempt(shared: Shared, inputs: Arc<Inputs>, options: Options, due: Instant) -> Result<Connected, ConnectError> {
    tokio::time::sleep_until(due).await;
    if !inputs.causes.network.connected {
        // A change of the network begins another attempt.
        std::future::pending::<()>().await;
    }
    match transit(&inputs.causes.network) {
        Some(time) => tokio::time::sleep(time).await,
        None => return Err(ConnectError::TimedOut(options.handshake_timeout)),
    }
    let subscription = inputs.subscription.clone().map_err(ConnectError::Subscription)?;
    let _turn = match &options.fleet {
        Some(fleet) => fleet.dial().await,
        None => None,
    };
    let identity = enrolment::certificate(&shared, &subscription, options.handshake_timeout).await?;
    match open(&shared, &subscription, &identity, &options).await {
        Err(error) if error.is_certificate_refused() => {
            shared.line(Kind::Com, format_args!("{error}; enrolling again"));
            let identity = enrolment::enrol(&shared, &subscription, options.handshake_timeout).await?;
            let socket = open(&shared, &subscription, &identity, &options).await?;
            Ok(Connected { socket, identity, subscription })
        }
        Err(error) => Err(error),
        Ok(socket) => Ok(Connected { socket, identity, subscription }),
    }
}

async fn open(shared: &Shared, subscription: &Subscription, identity: &Identity, options: &Options) -> Result<Socket, ConnectError> {
    let clock = shared.with(|machine| machine.clock().clone()).await;
    let own = Some((identity.certificate.as_str(), &identity.private_key));
    let route = Route::new(subscription.gateway.clone(), &subscription.authority, own, &clock, options.handshake_timeout)?;
    let (socket, address) = route.open().await?;
    if let Some(address) = address {
        shared.with(move |machine| machine.set_address(address)).await;
    }
    Ok(socket)
}

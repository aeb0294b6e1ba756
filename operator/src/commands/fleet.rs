//! `switchboard fleet`: many light simulated systems in one process, for load (FLEET-1).

mod members;
mod objects;
mod systems;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use simulator::fleet::{Count, Fleet};
use tokio_util::sync::CancellationToken;

use super::{CommandResult, say, stop_on_signals};
use crate::arguments::FleetOptions;
use systems::Systems;

/// Files that are open beside those of the sessions.
const OTHER_FILES: u64 = 64;
/// Progress is said this often while it changes.
const PROGRESS: Duration = Duration::from_secs(1);

/// Runs it.
pub fn run(options: FleetOptions) -> CommandResult {
    drop(rustls::crypto::ring::default_provider().install_default());
    let (open_files, wanted) = (runtime::limits::raise_open_files(), u64::from(options.count) + OTHER_FILES);
    if open_files.is_some_and(|limit| limit < wanted) {
        let limit = open_files.unwrap_or_default();
        return Err(format!("{} systems need {wanted} open files, but the limit is {limit}; raise it with ulimit -n", options.count).into());
    }
    // A system waits for its disk on these threads. A few are enough for disks that wait for nothing, and each costs memory.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(4).build()?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        stop_on_signals(&shutdown)?;
        let client = client(options.kubeconfig.as_deref()).await?;
        let _lock = lock(&options.data)?;
        if options.remove {
            objects::remove(&client, &options.namespace_prefix, &shutdown).await?;
            return remove_disks(&options);
        }
        serve(&client, &options, &shutdown).await
    })
}

async fn client(kubeconfig: Option<&Path>) -> Result<Client, Box<dyn std::error::Error>> {
    let Some(path) = kubeconfig else { return Ok(Client::try_default().await?) };
    let read = Kubeconfig::read_from(path).map_err(|error| format!("the kubeconfig {} cannot be used: {error}", path.display()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Only one process may use the disks: those of light systems have no locks of their own.
fn lock(data: &Path) -> Result<File, Box<dyn std::error::Error>> {
    std::fs::create_dir_all(data)
        .map_err(|error| format!("the folder {} cannot be made: {error}; choose another with --data", data.display()))?;
    let path = data.join("lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path)?;
    file.try_lock().map_err(|error| {
        format!("the folder {} cannot be used ({error}); end the fleet that uses it, or choose another with --data", data.display())
    })?;
    Ok(file)
}

fn remove_disks(options: &FleetOptions) -> CommandResult {
    for entry in std::fs::read_dir(&options.data)? {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| objects::is_namespace(&options.namespace_prefix, name)) {
            std::fs::remove_dir_all(&path)?;
        }
    }
    say("fleet: removed");
    Ok(())
}

/// Makes or finds the objects and runs the systems until the shutdown.
async fn serve(client: &Client, options: &FleetOptions, shutdown: &CancellationToken) -> CommandResult {
    let fleet = Fleet::new(options.dials as usize);
    let began = Instant::now();
    let (plan, members, selector) = match &options.selector {
        Some(selector) => (None, members::existing(client, selector, options.count as usize).await?, selector.clone()),
        None => {
            let plan = objects::Plan::new(options);
            objects::prepare(client, &plan).await?;
            let members = plan.members(client).await?;
            (Some(plan), members, objects::labels(&options.namespace_prefix))
        }
    };
    if members.is_empty() {
        return Err(format!("no IPOffice has the labels {selector}; correct --selector, or leave it out to make some").into());
    }
    let systems = Systems::new(client.clone(), selector, members, options.data.clone(), fleet.clone(), shutdown.clone());
    let count = systems.count();
    let made = async {
        let Some(plan) = &plan else { return Ok(()) };
        let made = tokio::select! {
            made = objects::make(client, plan, options.requests as usize) => made,
            () = shutdown.cancelled() => return Ok(()),
        };
        match &made {
            Ok(()) => say(&format!("fleet: the objects of {count} systems are there after {:.1} s", began.elapsed().as_secs_f64())),
            Err(_) => shutdown.cancel(),
        }
        made
    };
    let progress = async {
        tokio::select! {
            () = report(&fleet, count, began) => {}
            () = shutdown.cancelled() => {}
        }
    };
    let (made, ran, ()) = tokio::join!(made, systems.run(), progress);
    say(&format!("fleet: ended; {}", words(fleet.count(), count)));
    made?;
    Ok(ran?)
}

/// Says how far it is, and once that all are there; later, what changes.
async fn report(fleet: &Fleet, count: usize, began: Instant) {
    let mut said = None;
    let mut complete = false;
    let mut ticks = tokio::time::interval(PROGRESS);
    loop {
        ticks.tick().await;
        let now = fleet.count();
        let seconds = began.elapsed().as_secs_f64();
        if !complete && now.signed_in == count {
            complete = true;
            say(&format!("fleet: all {count} systems are connected and signed in to after {seconds:.1} s; {} tries failed", now.failures));
        } else if said != Some(now) {
            let why = if now.failures > 0 && now.signed_in < count { fleet.last_failure() } else { None };
            let why = why.map(|why| format!("; last failure: {why}")).unwrap_or_default();
            say(&format!("fleet: {seconds:.0} s, {}{why}", words(now, count)));
        }
        said = Some(now);
    }
}

fn words(now: Count, count: usize) -> String {
    format!("{} of {count} connected, {} signed in to, {} tries failed", now.connected, now.signed_in, now.failures)
}

//! Preparing a pod and starting its containers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Volume};
use tokio::time::Instant;

use super::account::{self, MOUNT as ACCOUNT};
use super::clock::later;
use super::environment::{Environment, Surroundings, resolve};
use super::execution;
use super::links;
use super::mounts::{Mounts, inside};
use super::probes::Target;
use super::state::{Current, Ended, retry_delay};
use super::volumes::{self, Places};
use super::watching::Watch;
use super::worker::{Done, Running, Worker};
use crate::node::api::ContainerKey;
use crate::node::options::Program;
use crate::node::process::{Execution, Instance, Wishes};

/// How often what comes from config maps, secrets and tokens is brought up to date in running pods, as the kubelet does.
const REFRESH: Duration = Duration::from_secs(60);
/// The first attempts to prepare a pod fail in silence: its namespace may be so new that the service account comes just after it.
const SILENT_ATTEMPTS: u32 = 3;
/// Before the second attempt; twice as long before the third.
const SOON: Duration = Duration::from_millis(100);

impl Worker {
    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            cluster: self.shared.cluster.as_ref(),
            tokens: &self.tokens,
            pod: &self.pod,
            address: self.facts.address,
            host: self.facts.host,
        }
    }

    /// Makes folders and volumes. What is missing may come yet: it is tried again.
    pub(super) async fn prepare(&mut self) -> bool {
        if self.prepare_again.is_some_and(|again| again > Instant::now()) {
            return false;
        }
        match self.make_all().await {
            Ok(()) => {
                self.facts.prepared = true;
                self.prepare_again = None;
                true
            }
            Err(why) => {
                let delay = match self.prepare_attempts.checked_sub(SILENT_ATTEMPTS) {
                    None => SOON * (1 << self.prepare_attempts),
                    Some(attempts) => {
                        self.note_mount_failure(why);
                        retry_delay(attempts)
                    }
                };
                self.prepare_again = Some(later(Instant::now(), delay));
                self.prepare_attempts = self.prepare_attempts.saturating_add(1);
                false
            }
        }
    }

    /// One Event for each reason, not for each attempt.
    fn note_mount_failure(&mut self, why: String) {
        if self.last_mount_failure.as_ref() != Some(&why) {
            self.note(true, "FailedMount", why.clone(), None);
            self.last_mount_failure = Some(why);
        }
    }

    /// Makes volumes and the folder of the service account, or brings them up to date.
    async fn make_all(&mut self) -> Result<(), String> {
        let volumes = self.make_volumes().await?;
        let account = match &self.shared.options.api_server {
            Some(server) => account::make(&self.folder().join("serviceaccount"), server, &self.surroundings())
                .await
                .map_err(|why| format!("MountVolume.SetUp failed for the service account : {why}"))?,
            None => None,
        };
        let changeable = |volume: &Volume| {
            volume.config_map.is_some() || volume.secret.is_some() || volume.projected.is_some() || volume.downward_api.is_some()
        };
        let any = account.is_some() || self.spec().into_iter().flat_map(|spec| spec.volumes.iter().flatten()).any(changeable);
        self.refresh_at = any.then(|| later(Instant::now(), REFRESH));
        (self.volumes, self.account, self.last_mount_failure) = (volumes, account, None);
        Ok(())
    }

    async fn make_volumes(&self) -> Result<Vec<(String, PathBuf)>, String> {
        let folder = self.folder();
        for part in ["processes", "volumes", "containers", "logs"] {
            let path = folder.join(part);
            std::fs::create_dir_all(&path).map_err(|error| format!("cannot make the folder {}: {error}", path.display()))?;
        }
        let (volumes, claims) = (folder.join("volumes"), self.shared.options.data.join("claims"));
        let places = Places { volumes: &volumes, claims: &claims };
        let mut made = Vec::new();
        for volume in self.spec().into_iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let path = volumes::make(volume, &places, &self.surroundings()).await;
            made.push((volume.name.clone(), path.map_err(|why| format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name))?));
        }
        Ok(made)
    }

    /// Brings config maps, secrets and tokens in the running pod's volumes up to date. What cannot be read now stays as it was.
    pub(super) async fn refresh_volumes(&mut self) {
        if let Err(why) = self.make_all().await {
            self.note_mount_failure(why);
            self.refresh_at = Some(later(Instant::now(), REFRESH));
        }
    }

    /// Starts a container, or puts it where it waits for its next attempt.
    pub(super) async fn start(&mut self, index: usize) {
        let container = self.states[index].spec.clone();
        let image = container.image.clone().unwrap_or_default();
        let Some(program) = self.shared.options.images.find(&image).cloned() else {
            let message = self.shared.options.images.explain_missing(&image, &self.shared.options.image_remedy);
            self.note(true, "Failed", format!("Error: ErrImagePull: {message}"), Some(index));
            // The map is fixed for the agent's life: trying again would bring nothing.
            self.states[index].stuck = true;
            self.states[index].current = Current::Waiting { reason: "ErrImagePull", message: Some(message) };
            return;
        };
        let (execution, mounts) = match self.execution(&container, &program).await {
            Ok(found) => found,
            Err(Unready::Configuration(why)) => return self.hold(index, "CreateContainerConfigError", why),
            Err(Unready::Program(why)) => return self.start_failed(index, why),
        };
        if self.states[index].last.is_none() && self.states[index].restarts == 0 {
            self.note(
                false,
                "Pulled",
                format!("Container image {image:?} is program {} on this machine", program.path.display()),
                Some(index),
            );
        }
        let name = &container.name;
        let log = match self.logs.container(name).map(|log| log.begin()) {
            Some(Ok(log)) => log,
            Some(Err(error)) => {
                return self.hold(index, "CreateContainerError", format!("cannot make the log of container {name}: {error}"));
            }
            None => return self.hold(index, "CreateContainerError", format!("container {name} has no log")),
        };
        let (instance, life) = match Instance::start(&self.shared.spawner, &execution, wishes(&container), Arc::clone(&log)).await {
            Ok(started) => started,
            Err(error) => return self.start_failed(index, format!("cannot start {}: {error}", execution.program.display())),
        };
        self.record(name, &instance);
        self.tasks.spawn(async move { Done::Exit(index, life.await) });
        let target =
            Arc::new(Target { spawner: Arc::clone(&self.shared.spawner), execution, address: self.facts.address, container, mounts });
        self.began(index, &instance, target);
    }

    fn began(&mut self, index: usize, instance: &Instance, target: Arc<Target>) {
        self.lives += 1;
        let watch = Watch { index, life: self.lives, target: Arc::clone(&target), findings: self.findings.clone() };
        let watcher = self.tasks.spawn(async move {
            watch.run().await;
            Done::Helper
        });
        let key = self.key(index);
        let entry = self.shared.node.sessions.add(key, Arc::clone(&target), Arc::clone(&instance.console));
        self.running[index] =
            Some(Running { signaller: instance.signaller(), watcher, stopper: None, target, _entry: entry, life: self.lives });
        self.states[index].begin(instance.started);
        let name = self.states[index].spec.name.clone();
        self.note(false, "Created", format!("Created container: {name}"), Some(index));
        self.note(false, "Started", format!("Started container {name}"), Some(index));
    }

    /// Under which the API server asks for a container.
    pub(super) fn key(&self, index: usize) -> ContainerKey {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let meta = &self.pod.metadata;
        ContainerKey { namespace: text(&meta.namespace), pod: text(&meta.name), container: self.states[index].spec.name.clone() }
    }

    /// On disk before anything else is done with the process, so that the next agent can end it.
    fn record(&self, name: &str, instance: &Instance) {
        let path = self.folder().join("processes").join(format!("{name}.json"));
        let written = serde_json::to_vec(&instance.identity).map_err(std::io::Error::other).and_then(|bytes| std::fs::write(&path, bytes));
        if let Err(error) = written {
            tracing::warn!(%error, path = %path.display(), "the record of a process could not be written; it is found by its environment instead");
        }
    }

    async fn execution(&self, container: &Container, program: &Program) -> Result<(Execution, Mounts), Unready> {
        let folder = self.container_folder(&container.name);
        let base = self.base(program).await.map_err(Unready::Configuration)?;
        let environment = resolve(container, base.clone(), &self.surroundings()).await.map_err(Unready::Configuration)?;
        let mounts = self.mounts(container, &environment).map_err(Unready::Configuration)?;
        let mut rewritten = Environment::default();
        for (name, value) in environment.iter() {
            // What is of this machine stays as it is, such as its search path.
            let own = base.get(name) == Some(value);
            rewritten.set(name, if own { value.to_owned() } else { mounts.rewrite(value) });
        }
        // Programs that are told of no folder for scratch take /tmp: it is there only for those that mount one.
        if let Some(scratch) = mounts.find(Path::new("/tmp")).filter(|_| environment.get("TMPDIR").is_none()) {
            rewritten.set("TMPDIR", scratch.to_string_lossy());
        }
        // Expansion sees the values as the manifest has them; what is put together is rewritten once.
        let marker = format!("{}/{}", self.uid(), container.name);
        let mut execution = execution::plan(container, program, &environment, &mounts, &folder, &marker).map_err(Unready::Program)?;
        execution.environment = rewritten.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok((execution, mounts))
    }

    fn container_folder(&self, name: &str) -> PathBuf {
        self.folder().join("containers").join(name)
    }

    /// What every container has: the search path of this process, where Services and the API server are, and what the image brings.
    async fn base(&self, program: &Program) -> Result<Environment, String> {
        let mut base = Environment::default();
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        if self.spec().and_then(|spec| spec.enable_service_links) != Some(false) {
            links::of_services(&mut base, &self.shared.cluster.services(namespace).await?);
        }
        if let Some(server) = &self.shared.options.api_server {
            links::of_api_server(&mut base, server.service);
            account::variables(&mut base, self.account.as_deref());
        }
        base.set("PATH", std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned()));
        base.set("HOSTNAME", self.pod.metadata.name.clone().unwrap_or_default());
        for (name, value) in &program.environment {
            base.set(name, value);
        }
        Ok(base)
    }

    fn mounts(&self, container: &Container, environment: &Environment) -> Result<Mounts, String> {
        let mut entries = Vec::new();
        for mount in container.volume_mounts.iter().flatten() {
            let (_, folder) =
                self.volumes.iter().find(|(name, _)| *name == mount.name).ok_or_else(|| format!("there is no volume {:?}", mount.name))?;
            let sub_path = match (&mount.sub_path, &mount.sub_path_expr) {
                (_, Some(expression)) if !expression.is_empty() => environment.expand(expression),
                (path, _) => path.clone().unwrap_or_default(),
            };
            let folder = if sub_path.is_empty() { folder.clone() } else { sub_folder(folder, &sub_path)? };
            entries.push((mount.mount_path.clone(), folder));
        }
        // As on a real node, where the pod itself mounts nothing there.
        if let Some(folder) = self.account.as_ref().filter(|_| !entries.iter().any(|(path, _)| path.trim_end_matches('/') == ACCOUNT)) {
            entries.push((ACCOUNT.to_owned(), folder.clone()));
        }
        Ok(Mounts::new(entries).keeping(&self.shared.options.data))
    }

    fn hold(&mut self, index: usize, reason: &'static str, message: String) {
        let news = !matches!(&self.states[index].current, Current::Waiting { message: Some(old), .. } if *old == message);
        if news {
            self.note(true, "Failed", format!("Error: {message}"), Some(index));
        }
        self.states[index].hold(reason, message, Instant::now());
    }

    fn start_failed(&mut self, index: usize, why: String) {
        self.note(true, "Failed", format!("Error: {why}"), Some(index));
        let now = Timestamp::now();
        let ended =
            Ended { code: 128, signal: None, reason: "StartError".to_owned(), message: Some(why), started: Some(now), finished: Some(now) };
        if self.states[index].last.is_some() || matches!(self.states[index].current, Current::Ended(_)) {
            self.states[index].restarts += 1;
        }
        self.ended(index, ended, Duration::ZERO);
    }
}

/// What a container's manifest says of its input and outputs.
fn wishes(container: &Container) -> Wishes {
    let flag = |value: Option<bool>| value == Some(true);
    Wishes { stdin: flag(container.stdin), once: flag(container.stdin_once), tty: flag(container.tty) }
}

/// Why a container does not start.
enum Unready {
    /// Something it refers to is missing; it may come.
    Configuration(String),
    /// Its program cannot be run: this counts as a start.
    Program(String),
}

/// A sub path that does not exist becomes a folder, as with the kubelet. It must not lead out of the volume through a link either.
fn sub_folder(volume: &Path, sub_path: &str) -> Result<PathBuf, String> {
    let path = inside(volume, sub_path)?;
    let failed = |error: std::io::Error| format!("cannot prepare sub path {sub_path:?}: {error}");
    if !path.exists() {
        std::fs::create_dir_all(&path).map_err(failed)?;
    }
    let real = path.canonicalize().map_err(failed)?;
    let root = volume.canonicalize().map_err(failed)?;
    if real.starts_with(&root) { Ok(real) } else { Err(format!("sub path {sub_path:?} leads out of its volume")) }
}

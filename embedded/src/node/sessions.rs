//! Finding a running container, and what one can do with it: run a further program in it, attach to its first one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::api::{ContainerKey, RunningContainer};
use super::pod::execution;
use super::pod::probes::Target;
use super::process::{Console, Execution, Session, Streams};

/// The running containers of a node.
#[derive(Debug, Default)]
pub struct Sessions {
    containers: RwLock<HashMap<ContainerKey, Arc<Container>>>,
}

/// A container that runs, or has run a moment ago.
#[derive(Debug)]
pub struct Container {
    target: Arc<Target>,
    console: Arc<Console>,
}

/// A running container's place among them, for as long as somebody looks after it: also where that one dies, no program starts in it any more.
#[derive(Debug)]
pub struct Entry {
    sessions: Arc<Sessions>,
    key: ContainerKey,
    container: Arc<Container>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.container.console.abandon();
        self.sessions.remove(&self.key, &self.container);
    }
}

impl Sessions {
    /// A container has been started. It is found for as long as the value lives. One of the same name that is still ending makes way.
    pub fn add(self: &Arc<Self>, key: ContainerKey, target: Arc<Target>, console: Arc<Console>) -> Entry {
        let container = Arc::new(Container { target, console });
        self.containers.write().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), Arc::clone(&container));
        Entry { sessions: Arc::clone(self), key, container }
    }

    /// A container has ended. Another that has taken its name stays.
    fn remove(&self, key: &ContainerKey, container: &Arc<Container>) {
        let mut containers = self.containers.write().unwrap_or_else(PoisonError::into_inner);
        if containers.get(key).is_some_and(|current| Arc::ptr_eq(current, container)) {
            containers.remove(key);
        }
    }

    /// The running container of this name.
    pub fn find(&self, key: &ContainerKey) -> Option<Arc<dyn RunningContainer>> {
        let found = self.containers.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()?;
        Some(found as Arc<dyn RunningContainer>)
    }
}

impl RunningContainer for Container {
    fn exec(&self, command: Vec<String>, streams: Streams) -> BoxFuture<'static, Result<Session, String>> {
        let (target, console) = (Arc::clone(&self.target), Arc::clone(&self.console));
        async move {
            let mut words = command.iter().map(|word| target.mounts.rewrite(word));
            let name = words.next().ok_or("the command is empty")?;
            let program = execution::locate(&name, &target.execution)?;
            let mut arguments: Vec<String> = words.collect();
            arguments.extend(names_of_copies(&command, &target));
            let execution = Execution { program, arguments, ..target.execution.clone() };
            let started = Session::start(&target.spawner, execution, streams, &console).await;
            started.map_err(|error| format!("unable to start {name:?}: {error}"))
        }
        .boxed()
    }

    fn attach(&self, streams: Streams) -> Result<Session, String> {
        self.console.attach(streams)
    }
}

/// `kubectl cp` runs `tar cf - <path>` and looks for that path in the archive. A mounted one is a folder somewhere else here, so tar is told to
/// write the names that are expected.
fn names_of_copies(command: &[String], target: &Target) -> Option<String> {
    let [tar, "cf", "-", path] = command.iter().map(String::as_str).collect::<Vec<_>>()[..] else { return None };
    let folder = target.mounts.find(Path::new(path)).filter(|_| tar == "tar")?;
    let literally = |text: &str, special: &[char]| -> String {
        text.chars().flat_map(|letter| special.contains(&letter).then_some('\\').into_iter().chain([letter])).collect()
    };
    let from = literally(folder.to_string_lossy().trim_start_matches('/'), &[',', '\\', '.', '*', '[', ']', '^', '$']);
    let to = literally(path.trim_start_matches('/'), &[',', '\\', '&']);
    // Not in what symbolic links point to.
    Some(format!("--transform=s,^/*{from},{to},S"))
}

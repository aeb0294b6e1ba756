//! Finding a running container, and what one can do with it: run a further program in it, attach to its first one.

use std::collections::HashMap;
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

impl Sessions {
    /// A container has been started. One of the same name that is still ending makes way.
    pub fn add(&self, key: ContainerKey, target: Arc<Target>, console: Arc<Console>) -> Arc<Container> {
        let container = Arc::new(Container { target, console });
        self.containers.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&container));
        container
    }

    /// A container has ended. Another that has taken its name stays.
    pub fn remove(&self, key: &ContainerKey, container: &Arc<Container>) {
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
            let execution = Execution { program, arguments: words.collect(), ..target.execution.clone() };
            let started = Session::start(&target.spawner, execution, streams, &console).await;
            started.map_err(|error| format!("unable to start {name:?}: {error}"))
        }
        .boxed()
    }

    fn attach(&self, streams: Streams) -> Result<Session, String> {
        self.console.attach(streams)
    }
}

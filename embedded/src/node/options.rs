//! What a node agent is told at its start.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a node agent.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Name of the Node object.
    pub name: String,
    /// Folder for pods (`pods/<uid>`) and persistent volume claims (`claims/<uid>`). Claims outlive pods and restarts.
    pub data: PathBuf,
    /// Which image is which program.
    pub images: Images,
    /// How children are started, so that they die with this process.
    pub launcher: Launcher,
    /// Pods get their addresses from here.
    pub network: PodNetwork,
    /// Address of the node itself (`status.hostIP`).
    pub address: Ipv4Addr,
    /// When a container that ended starts again.
    pub restarts: RestartDelays,
    /// Size at which a log file is rotated; a container instance keeps two files, and the instance before it two more.
    pub log_file_bytes: u64,
    /// At shutdown, pods get their own grace period but never more than this.
    pub shutdown_bound: Duration,
    /// `nodeInfo.kubeletVersion`.
    pub version: String,
}

impl NodeOptions {
    /// Usual settings for everything but where the data is, which programs there are and how they are started.
    pub fn new(data: impl Into<PathBuf>, images: Images, launcher: Launcher) -> Self {
        Self {
            name: "switchboard".to_owned(),
            data: data.into(),
            images,
            launcher,
            network: PodNetwork::default(),
            address: Ipv4Addr::LOCALHOST,
            restarts: RestartDelays::default(),
            log_file_bytes: 10 * 1024 * 1024,
            shutdown_bound: Duration::from_secs(10),
            version: format!("{}+embedded.{}", crate::api::VERSION, env!("CARGO_PKG_VERSION")),
        }
    }
}

/// The program that becomes a container's program: it must call [`launcher_main`](super::launcher::launcher_main) with what
/// follows `arguments`.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// Usually the running binary itself ([`std::env::current_exe`]).
    pub program: PathBuf,
    /// What selects the launcher in it (`["pod-launcher"]`).
    pub arguments: Vec<String>,
}

/// Addresses for pods: `count` addresses from `first` on, inside 127.0.0.0/8, which Linux serves without any set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodNetwork {
    /// The first address given out.
    pub first: Ipv4Addr,
    /// How many there are; also the node's `pods` capacity, up to 110 shown.
    pub count: u32,
}

impl Default for PodNetwork {
    fn default() -> Self {
        Self { first: Ipv4Addr::new(127, 20, 0, 1), count: 65_000 }
    }
}

/// When a container that ended is started again. Kubernetes starts at 10 s; on one's own machine the first restart is immediate
/// and the delays that follow begin at one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartDelays {
    /// Before the first restart.
    pub first: Duration,
    /// Before the second; doubled for each one after.
    pub second: Duration,
    /// Never longer than this.
    pub longest: Duration,
    /// A container that ran this long starts anew at `first`.
    pub reset_after: Duration,
}

impl Default for RestartDelays {
    fn default() -> Self {
        Self {
            first: Duration::ZERO,
            second: Duration::from_secs(1),
            longest: Duration::from_secs(300),
            reset_after: Duration::from_secs(600),
        }
    }
}

/// A local program that stands for an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// The file to execute: the image's entry point.
    pub path: PathBuf,
    /// Leading arguments, before the container's `args`; left out where the container has a `command` of its own.
    pub arguments: Vec<String>,
    /// Environment the image brings; the container's own `env` wins.
    pub environment: BTreeMap<String, String>,
}

/// Which image is which program.
///
/// A key is an image as a pod names it, with or without its tag or digest; the fuller key wins.
#[derive(Debug, Clone, Default)]
pub struct Images {
    programs: BTreeMap<String, Program>,
}

impl Images {
    /// An empty map: every image is refused.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds an image.
    #[must_use]
    pub fn with(mut self, image: impl Into<String>, program: Program) -> Self {
        self.programs.insert(image.into(), program);
        self
    }
    /// The program of an image.
    pub fn find(&self, image: &str) -> Option<&Program> {
        self.programs.get(image).or_else(|| self.programs.get(without_tag(image)))
    }
    /// Why an image cannot be had, what there is, and what to do.
    pub fn explain_missing(&self, image: &str) -> String {
        let known: Vec<&str> = self.programs.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "no image is mapped".to_owned() } else { format!("mapped images are {}", known.join(", ")) };
        format!(
            "image {image:?} is not mapped to a program: this node runs local programs instead of pulling images; {known}; \
             use one of these, or map {:?} to a program in the node's image map",
            without_tag(image)
        )
    }
    /// All images, for the Node object.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.programs.keys().map(String::as_str)
    }
}

/// The image without `:tag` and `@digest`. A colon before the last slash belongs to a port.
fn without_tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let name_from = image.rfind('/').map_or(0, |slash| slash + 1);
    image[name_from..].find(':').map_or(image, |colon| &image[..name_from + colon])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn an_image_is_found_with_and_without_its_tag_and_the_fuller_name_wins() {
        let named = |path: &str| Program { path: path.into(), ..Program::default() };
        let images = Images::new().with("registry:5000/a/b", named("/any")).with("registry:5000/a/b:2", named("/two"));
        assert_eq!(images.find("registry:5000/a/b:1").unwrap().path, PathBuf::from("/any"));
        assert_eq!(images.find("registry:5000/a/b:2").unwrap().path, PathBuf::from("/two"));
        assert_eq!(images.find("registry:5000/a/b@sha256:00").unwrap().path, PathBuf::from("/any"));
        assert!(images.find("registry:5000/a").is_none());
    }

    #[test]
    fn a_missing_image_is_explained_with_what_there_is() {
        let text = Images::new().with("one", Program::default()).explain_missing("two:3");
        assert!(text.contains("\"two:3\"") && text.contains("mapped images are one") && text.contains("map \"two\""), "{text}");
    }
}

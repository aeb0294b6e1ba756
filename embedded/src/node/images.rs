//! Which image is which program: a node without a container engine runs local programs instead of pulling images.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
/// A key is an image as a pod names it, with or without its tag or digest; the fuller key wins. Beside these, a repository's name alone can
/// stand for a program, whatever registry and folder it is in.
#[derive(Debug, Clone, Default)]
pub struct Images {
    programs: BTreeMap<String, Program>,
    anywhere: BTreeMap<String, Program>,
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
    /// Adds all images whose repository ends in this name: `switchboard` is also `registry.example.com:5000/tools/switchboard@sha256:…`.
    #[must_use]
    pub fn with_anywhere(mut self, name: impl Into<String>, program: Program) -> Self {
        self.anywhere.insert(name.into(), program);
        self
    }
    /// The program of an image.
    pub fn find(&self, image: &str) -> Option<&Program> {
        let repository = without_tag(image);
        let named = self.programs.get(image).or_else(|| self.programs.get(repository));
        named.or_else(|| self.anywhere.get(repository.rsplit('/').next().unwrap_or(repository)))
    }
    /// Why an image cannot be had, what there is, and what to do: `remedy` says how an image is mapped.
    pub fn explain_missing(&self, image: &str, remedy: &str) -> String {
        let known: Vec<&str> = self.names().collect();
        let known = if known.is_empty() { "no image is mapped".to_owned() } else { format!("mapped images are {}", known.join(", ")) };
        format!(
            "image {image:?} is not mapped to a program: this node runs local programs instead of pulling images; {known}; \
             use one of these, or {remedy}"
        )
    }
    /// All images, for the Node object.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let more = self.anywhere.keys().filter(|name| !self.programs.contains_key(*name));
        self.programs.keys().chain(more).map(String::as_str)
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

    fn named(path: &str) -> Program {
        Program { path: path.into(), ..Program::default() }
    }

    #[test]
    fn an_image_is_found_with_and_without_its_tag_and_the_fuller_name_wins() {
        let images = Images::new().with("registry:5000/a/b", named("/any")).with("registry:5000/a/b:2", named("/two"));
        assert_eq!(images.find("registry:5000/a/b:1").unwrap().path, PathBuf::from("/any"));
        assert_eq!(images.find("registry:5000/a/b:2").unwrap().path, PathBuf::from("/two"));
        assert_eq!(images.find("registry:5000/a/b@sha256:00").unwrap().path, PathBuf::from("/any"));
        assert!(images.find("registry:5000/a").is_none());
    }

    #[test]
    fn a_name_stands_for_its_repository_in_any_registry_unless_a_fuller_name_is_mapped() {
        let images = Images::new().with_anywhere("tool", named("/own")).with("example.com/tool", named("/other"));
        for image in ["tool", "tool:1", "registry:5000/a/tool:v2", "ghcr.io/a/b/tool@sha256:00", "localhost/tool:1@sha256:00"] {
            assert_eq!(images.find(image).unwrap().path, PathBuf::from("/own"), "{image}");
        }
        assert_eq!(images.find("example.com/tool:3").unwrap().path, PathBuf::from("/other"));
        for image in ["tools", "tool/other", "my-tool", "registry:5000/tool-x:1"] {
            assert!(images.find(image).is_none(), "{image}");
        }
    }

    #[test]
    fn a_missing_image_is_explained_with_what_there_is() {
        let text = Images::new().with("one", Program::default()).explain_missing("two:3", "start it with --image");
        assert!(text.contains("\"two:3\"") && text.contains("mapped images are one") && text.ends_with("start it with --image"), "{text}");
    }
}

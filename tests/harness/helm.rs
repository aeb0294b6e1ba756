//! The real Helm, as people use it, through `tools/helm.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Helm with the kubeconfig of one plane, in one namespace.
#[derive(Debug, Clone)]
pub struct Helm {
    kubeconfig: PathBuf,
    namespace: String,
}

impl Helm {
    /// For this kubeconfig and namespace.
    pub fn new(kubeconfig: &Path, namespace: &str) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), namespace: namespace.to_owned() }
    }

    /// Runs to the end; standard output and whether it succeeded, else standard error.
    ///
    /// # Errors
    /// What Helm said.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("python3")
            .arg("tools/helm.py")
            .args(arguments)
            .args(["--namespace", &self.namespace, "--kubeconfig"])
            .arg(&self.kubeconfig)
            // Paths are those of the repository.
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .output()
            .unwrap_or_else(|error| panic!("cannot run tools/helm.py: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stdout) + &text(&output.stderr)) }
    }

    /// Runs and must succeed.
    ///
    /// # Panics
    /// It failed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).unwrap_or_else(|error| panic!("helm {} failed:\n{error}", arguments.join(" ")))
    }
}

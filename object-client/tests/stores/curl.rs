//! What a system does with presigned requests, by a client that shares no code with ours.

use std::path::Path;
use std::process::Stdio;

use protocol::transfer::PresignedRequest;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status; 0 where none came.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Whether a request that is signed in its headers succeeds.
pub async fn signed(method: &str, url: &str, key: &str, secret: &str) -> bool {
    let mut command = Command::new("curl");
    command.args(["-sf", "-o", "/dev/null", "--max-time", "10", "-X", method, "--aws-sigv4", "aws:amz:us-east-1:s3", "--user"]);
    command.arg(format!("{key}:{secret}")).arg(url).stdin(Stdio::null());
    command.status().await.unwrap().success()
}

/// Makes many presigned requests to put the same file, over few connections.
pub async fn put_all(requests: &[PresignedRequest], file: &Path, authority: Option<&Path>) {
    let authority = authority.map(|path| format!("cacert = \"{}\"\n", path.display())).unwrap_or_default();
    let one = |request: &PresignedRequest| {
        let headers: String = request.headers.iter().map(|(name, value)| format!("header = \"{name}: {value}\"\n")).collect();
        let (url, file) = (request.url.expose(), file.display());
        // What is not said again for each one is forgotten.
        format!("url = \"{url}\"\nupload-file = \"{file}\"\nfail\nsilent\nshow-error\noutput = \"/dev/null\"\n{headers}{authority}")
    };
    let text: Vec<String> = requests.iter().map(one).collect();
    let mut command = Command::new("curl");
    command.args(["--parallel", "--parallel-max", "8", "--fail-early", "-K", "-"]).stdin(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.join("next\n").as_bytes()).await.unwrap();
    drop(input);
    assert!(child.wait().await.unwrap().success());
}

/// Makes a presigned request as it is, with a body and further headers.
pub async fn make(request: &PresignedRequest, body: &[u8], more: &[&str], authority: Option<&Path>) -> Answer {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "60", "-w", "\n%{http_code}", "-X", &request.method]);
    for (name, value) in &request.headers {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    // Curl adds headers of its own to a body.
    command.args(["-H", "Content-Type:", "-H", "Expect:"]);
    for header in more {
        command.arg("-H").arg(header);
    }
    if let Some(authority) = authority {
        command.arg("--cacert").arg(authority);
    }
    if request.method == "PUT" {
        command.args(["--data-binary", "@-"]);
    }
    command.arg(request.url.expose()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let (mut input, body) = (child.stdin.take().unwrap(), body.to_vec());
    let writing = tokio::spawn(async move { drop(input.write_all(&body).await) });
    let output = child.wait_with_output().await.unwrap();
    writing.await.unwrap();
    let at = output.stdout.iter().rposition(|byte| *byte == b'\n').unwrap();
    let status = String::from_utf8_lossy(&output.stdout[at + 1..]).parse().unwrap();
    Answer { status, body: output.stdout[..at].to_vec() }
}

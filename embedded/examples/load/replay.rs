//! Sends requests from a file over kept connections and prints how long the server took: what the same writes cost without those who make them.
//!
//! A line is `{"lane": 7, "method": "POST", "path": "/api/v1/…", "type": "application/json", "body": "…"}`. Requests of one lane go over one
//! connection in the order of the file; so lanes are objects, and no write overtakes another of its object.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;

use crate::Failure;
use crate::client::Target;

#[derive(Deserialize)]
struct Planned {
    lane: usize,
    method: String,
    path: String,
    r#type: String,
    body: String,
}

/// Sends all, each of `connections` its lanes, and prints count, seconds and requests a second.
pub(crate) async fn run(kubeconfig: &Path, requests: &Path, connections: usize) -> Result<(), Failure> {
    let connections = connections.max(1);
    let target = Target::read(kubeconfig)?;
    let mut lanes: Vec<Vec<Planned>> = (0..connections).map(|_| Vec::new()).collect();
    for line in BufReader::new(std::fs::File::open(requests)?).lines() {
        let planned: Planned = serde_json::from_str(&line?)?;
        lanes[planned.lane % connections].push(planned);
    }
    let count: usize = lanes.iter().map(Vec::len).sum();
    let ready = Arc::new(tokio::sync::Barrier::new(connections + 1));
    let mut tasks = tokio::task::JoinSet::new();
    for lane in lanes {
        let (target, ready) = (target.clone(), ready.clone());
        tasks.spawn(async move {
            let mut connection = target.connect().await?;
            ready.wait().await;
            for Planned { method, path, r#type, body, .. } in lane {
                connection.ask_with(&method, &path, &r#type, &body, &[200, 201]).await?;
            }
            Ok::<(), Failure>(())
        });
    }
    ready.wait().await;
    let began = Instant::now();
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let seconds = began.elapsed().as_secs_f64();
    writeln!(std::io::stdout(), "{count} requests, {connections} connections, {seconds:.2} s, {:.0} a second", count as f64 / seconds)?;
    Ok(())
}

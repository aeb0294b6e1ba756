//! Everyday calls in the log, at the pace the causes ask for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::backoff::below;
use crate::inputs::Inputs;
use crate::log::Kind;
use crate::shared::Shared;
use crate::system::Phase;

/// Lines are written at most this often, several at a time where more are asked for.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Writes lines of everyday calls while the system runs.
pub async fn chatter(shared: Shared, mut inputs: watch::Receiver<Arc<Inputs>>, phase: watch::Receiver<Phase>) -> Infallible {
    loop {
        let per_minute = inputs.borrow_and_update().causes.logging.lines_per_minute;
        if per_minute == 0 {
            if inputs.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            continue;
        }
        let pause = Duration::from_secs(60) / per_minute;
        let lines = if pause < SHORTEST_PAUSE { per_minute.div_ceil(600) } else { 1 };
        tokio::time::sleep(pause.max(SHORTEST_PAUSE)).await;
        if *phase.borrow() == Phase::Running {
            for _ in 0..lines {
                shared.line(Kind::Call, call());
            }
        }
    }
}

fn call() -> String {
    let (extension, line, seconds) = (200 + below(40), 1 + below(16), 1 + below(900));
    match below(5) {
        0 => format!("extension {extension} rings, incoming call on line {line}"),
        1 => format!("extension {extension} answered line {line} after {} s", 1 + below(20)),
        2 => format!("extension {extension} and line {line} disconnected after {seconds} s, normal clearing"),
        3 => format!("extension {extension} registered from 192.0.2.{}", 1 + below(250)),
        _ => format!("voicemail took a message of {} s for mailbox {extension}", 1 + below(120)),
    }
}

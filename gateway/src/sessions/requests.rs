//! Requests that wait for the system's answer. Few at a time, so a list is enough.

use std::time::Duration;

use protocol::link::{Done, LinkError};
use protocol::message::{Answer, AnswerResult, Request};
use tokio::time::Instant;

use crate::sessions::control::Ask;

/// Characters of a system's refusal that are kept.
const REASON_LENGTH: usize = 64;
const MESSAGE_LENGTH: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Requests {
    last_id: u64,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    until: Instant,
    ask: Ask,
}

impl Requests {
    /// Gives the request its number and keeps it until its answer.
    pub(crate) fn add(&mut self, ask: Ask, timeout: Duration) -> Request {
        self.last_id += 1;
        let request = Request { id: self.last_id, operation: ask.operation.clone(), command: ask.command.clone() };
        self.waiting.push(Waiting { id: self.last_id, until: Instant::now() + timeout, ask });
        request
    }

    /// Hands the answer to whoever waits. An answer nobody waits for came too late: false.
    pub(crate) fn answer(&mut self, answer: Answer) -> bool {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.id == answer.id) else { return false };
        let result = match answer.result {
            AnswerResult::Done { configuration_revision, output } => Ok(Done { configuration_revision, output }),
            AnswerResult::Failed { reason, message } => {
                Err(LinkError::Refused { reason: shorten(&reason, REASON_LENGTH), message: shorten(&message, MESSAGE_LENGTH) })
            }
        };
        // Whoever asked may have gone: that is no fault.
        let _ = self.waiting.swap_remove(at).ask.reply.send(result);
        true
    }

    /// When the first of them has waited long enough.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }

    /// Tells those that have waited long enough.
    pub(crate) fn time_out(&mut self, now: Instant) {
        for waiting in self.waiting.extract_if(.., |waiting| waiting.until <= now) {
            let _ = waiting.ask.reply.send(Err(LinkError::TimedOut));
        }
    }
}

fn shorten(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

//! COM's side of a session.

use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use model::account::SignInOutcome;
use model::secret::Secret;
use protocol::frame::{parse_from_system, write};
use protocol::message::{Answer, AnswerResult, Command, FromGateway, FromSystem, Hello, Request, Settings};
use protocol::scram::Client;
use protocol::transfer::Output;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::soon;

pub struct TestSession {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    requests: u64,
}

impl TestSession {
    pub fn new(socket: WebSocketStream<TokioIo<Upgraded>>) -> Self {
        Self { socket, requests: 0 }
    }

    pub async fn send(&mut self, message: &FromGateway) {
        self.send_text(&write(message)).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn ping(&mut self) {
        self.socket.send(Message::Ping("beat".into())).await.unwrap();
    }

    /// The next frame; `None` when the connection ended.
    pub async fn frame(&mut self) -> Option<Message> {
        soon("a frame", self.socket.next()).await.and_then(Result::ok)
    }

    /// The next message; `None` when the session ended.
    pub async fn next(&mut self) -> Option<FromSystem> {
        loop {
            match self.frame().await? {
                Message::Text(text) => return Some(parse_from_system(text.as_str()).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Takes the hello and welcomes.
    pub async fn greet(&mut self) -> Hello {
        let Some(FromSystem::Hello(hello)) = self.next().await else { panic!("a session begins with a hello") };
        let time = jiff::Timestamp::now();
        self.send(&FromGateway::Welcome { protocol: protocol::VERSION, keepalive_seconds: 30, offline_after_seconds: 90, time }).await;
        *hello
    }

    /// Signs in as `COMAdmin`.
    pub async fn sign_in(&mut self, password: &str) -> SignInOutcome {
        let (client, scram) = Client::start("COMAdmin", Secret::new(password));
        self.send(&FromGateway::SignIn { scram }).await;
        let challenge = match self.next().await {
            Some(FromSystem::Challenge { scram }) => scram,
            Some(FromSystem::SignInResult(result)) => return result.outcome,
            other => panic!("no answer to a sign-in: {other:?}"),
        };
        let (verifier, scram) = client.answer(&challenge).unwrap();
        self.send(&FromGateway::Proof { scram }).await;
        let Some(FromSystem::SignInResult(result)) = self.next().await else { panic!("a proof is answered") };
        if let Some(proof) = &result.scram {
            verifier.check(proof).unwrap();
        }
        result.outcome
    }

    /// Sends a command and gives its number.
    pub async fn begin(&mut self, operation: &str, command: Command) -> u64 {
        self.requests += 1;
        let request = Request { id: self.requests, operation: operation.into(), command };
        self.send(&FromGateway::Request(request)).await;
        self.requests
    }

    /// Sends a command and waits for its answer, passing reports over.
    pub async fn ask(&mut self, operation: &str, command: Command) -> AnswerResult {
        let id = self.begin(operation, command).await;
        loop {
            match self.next().await {
                Some(FromSystem::Answer(answer)) if answer.id == id => return answer.result,
                Some(FromSystem::Report(_)) => {}
                other => panic!("no answer to a command: {other:?}"),
            }
        }
    }

    /// As [`TestSession::ask`], again and again until it is no longer in progress.
    pub async fn finish(&mut self, operation: &str, command: Command) -> AnswerResult {
        loop {
            match self.ask(operation, command.clone()).await {
                AnswerResult::Done { output: Some(Output::InProgress { .. }), .. } => {}
                other => return other,
            }
        }
    }

    pub async fn configure(&mut self, operation: &str, settings: Settings) -> Answer {
        self.requests += 1;
        let request = Request { id: self.requests, operation: operation.into(), command: Command::Configure(settings) };
        self.send(&FromGateway::Request(request)).await;
        let Some(FromSystem::Answer(answer)) = self.next().await else { panic!("a request is answered") };
        assert_eq!(answer.id, self.requests);
        answer
    }
}

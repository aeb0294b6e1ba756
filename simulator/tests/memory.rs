//! Many uploads at a time cost little memory, because a thousand systems share a process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use archive::digest::{Hasher, PartHasher};
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::secret::Secret;
use protocol::transfer::{Output, PartUpload, PresignedRequest};
use simulator::causes_check::parse;
use simulator::clock::{MachineClock, SystemClock};
use simulator::inputs::Inputs;
use simulator::machine::Machine;
use simulator::shared::Shared;
use simulator::transfer::journal::Packed;
use simulator::transfer::line::Line;
use simulator::transfer::store::Dialer;
use simulator::transfer::upload::Upload;
use tokio_util::task::TaskTracker;

const UPLOADS: usize = 20;
const PARTS: u32 = 8;
const PART: usize = 4 << 20;
/// Four parts at a time, each with its pieces and the buffers of its connection, and the store's side of it too.
const MOST_GROWTH: u64 = 64 << 20;

/// Bytes of memory that this process holds.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// A store that keeps nothing. Gives its port.
async fn store() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let (mut body, mut hasher) = (request.into_body(), Hasher::new());
                while let Some(frame) = body.frame().await {
                    hasher.update(&frame?.into_data().unwrap());
                }
                assert_eq!(hasher.finish().1, PART as u64);
                Ok::<_, hyper::Error>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().max_buf_size(64 * 1024).serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    port
}

#[tokio::test]
async fn twenty_uploads_at_a_time_hold_little_more_memory_than_none() {
    let folder = std::env::temp_dir().join(format!("simulator-{}", uuid::Uuid::new_v4()));
    let inputs = Inputs { causes: parse("{}").unwrap(), passwords: [].into(), subscription: Err("none".into()), problems: vec![] };
    let inputs = Arc::new(inputs);
    let machine = Machine::open(&folder, inputs.clone(), Arc::new(MachineClock), false, Some(50_000)).unwrap();
    let line = Arc::new(Line::new(Shared::new(machine), tokio::sync::watch::channel(inputs).1));
    let archive = folder.join("packed.tar");
    let mut hasher = PartHasher::new((PART as u64).try_into().unwrap());
    {
        use std::io::Write as _;
        let mut file = std::fs::File::create(&archive).unwrap();
        for number in 0..PARTS {
            let bytes = vec![u8::try_from(number).unwrap(); PART];
            hasher.update(&bytes);
            file.write_all(&bytes).unwrap();
        }
    }
    let digested = hasher.finish();
    let packed = Packed {
        element: "CustomPrompts".parse().unwrap(),
        size: digested.size,
        sha256: digested.sha256,
        part_size: PART as u64,
        parts: digested.parts,
    };
    let (port, tracker, clock) = (store().await, TaskTracker::new(), SystemClock::new(Arc::new(MachineClock), 0));
    let before = memory();
    let mut uploads = tokio::task::JoinSet::new();
    for number in 0..UPLOADS {
        let upload = Upload::new(packed.clone(), archive.clone(), line.clone(), Dialer::new(None, &clock), Duration::from_secs(60));
        let parts = (1..=PARTS).map(|part| {
            let url = Secret::new(format!("http://127.0.0.1:{port}/{number}/{part}"));
            PartUpload { number: part, request: PresignedRequest { method: "PUT".into(), url, headers: [].into() } }
        });
        let (parts, tracker, clock) = (parts.collect(), tracker.clone(), clock.clone());
        uploads.spawn(async move { upload.put(&tracker, parts, None, &clock, Duration::from_secs(300)).await });
    }
    let mut most = before;
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while !uploads.is_empty() {
        tokio::select! {
            output = uploads.join_next() => {
                let done = (1..=PARTS).collect();
                assert_eq!(output.unwrap().unwrap(), Output::Uploaded { parts: done, failure: None });
            }
            _ = ticks.tick() => most = most.max(memory()),
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(most - before < MOST_GROWTH, "{} bytes more, of {} that went through", most - before, UPLOADS * PARTS as usize * PART);
}

//! How fast large objects go in and out, and what memory that takes. `docs/decisions/0019-embedded-object-store.md` has the figures.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use archive::digest::Sha256;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::StreamExt as _;
use support::{BUCKET, Folder, Served, bytes};

const PART: usize = 16 << 20;
const PARTS: i32 = 64;

/// Peak memory and processor time of server and client together.
fn used() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
    let usage = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 = usage.rsplit(' ').rev().skip(13).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    format!("peak memory {peak}, {:.1} s of processor in all", ticks as f64 / 100.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo nextest run -p object-server --run-ignored only --no-capture one_gibibyte"]
async fn one_gibibyte_in_parts_goes_in_and_out() {
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let body = Bytes::from(bytes(PART, 1));
    let digest = Sha256::of(&body).to_base64();
    let begin = client.create_multipart_upload().bucket(BUCKET).key("large").checksum_algorithm(ChecksumAlgorithm::Sha256);
    let id = begin.send().await.unwrap().upload_id().unwrap().to_owned();
    println!("before: {}", used());
    for at_a_time in [1, 4] {
        let started = Instant::now();
        let uploads = futures::stream::iter(1..=PARTS).map(|number| {
            let part = client.upload_part().bucket(BUCKET).key("large").upload_id(&id).part_number(number).checksum_sha256(&digest);
            let (served, body) = (&served, &body);
            async move {
                let request = part.presigned(PresigningConfig::expires_in(Duration::from_secs(900)).unwrap()).await.unwrap();
                let target = request.uri().strip_prefix(&format!("https://{}", served.address)).unwrap();
                let headers: Vec<_> = request.headers().filter(|(name, _)| !matches!(*name, "host" | "content-length")).collect();
                served.send("PUT", target, &headers, body).await.0
            }
        });
        let parts: Vec<_> = uploads.buffered(at_a_time).collect().await;
        let seconds = started.elapsed().as_secs_f64();
        println!("in, {at_a_time} parts at a time: {:.0} MiB/s, {}", 1024.0 / seconds, used());
        assert!(parts.iter().all(|status| *status == 200));
    }
    let etag = client.list_parts().bucket(BUCKET).key("large").upload_id(&id).send().await.unwrap().parts()[0].e_tag().unwrap().to_owned();
    let list = (1..=PARTS).map(|number| CompletedPart::builder().part_number(number).e_tag(&etag).checksum_sha256(&digest).build());
    let list = CompletedMultipartUpload::builder().set_parts(Some(list.collect())).build();
    let started = Instant::now();
    client.complete_multipart_upload().bucket(BUCKET).key("large").upload_id(&id).multipart_upload(list).send().await.unwrap();
    println!("completed in {:?}", started.elapsed());
    let started = Instant::now();
    let mut got = client.get_object().bucket(BUCKET).key("large").send().await.unwrap().body;
    let mut size = 0;
    while let Some(piece) = got.next().await {
        size += piece.unwrap().len();
    }
    println!("out: {:.0} MiB/s, {}", 1024.0 / started.elapsed().as_secs_f64(), used());
    assert_eq!(size, PART * PARTS as usize);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo nextest run -p object-server --run-ignored only --no-capture many_small"]
async fn many_small_objects_go_in_and_are_listed() {
    const OBJECTS: usize = 20_000;
    let folder = Folder::new();
    let served = Served::start(&folder.0).await;
    let client = served.client();
    let started = Instant::now();
    let puts = futures::stream::iter(0..OBJECTS).map(|number| {
        let key = format!("backups/customer-{}/system-{}/{number:08}/manifest.json", number % 10, number % 300);
        client.put_object().bucket(BUCKET).key(key).body(vec![1; 2000].into()).send()
    });
    let mut puts = puts.buffer_unordered(16);
    while let Some(put) = puts.next().await {
        put.unwrap();
    }
    println!("in: {:.0} objects/s, {}", OBJECTS as f64 / started.elapsed().as_secs_f64(), used());
    served.stop().await;
    let started = Instant::now();
    let served = Served::start(&folder.0).await;
    println!("started in {:?}", started.elapsed());
    let client = served.client();
    for round in ["first", "second"] {
        let started = Instant::now();
        let mut pages = client.list_objects_v2().bucket(BUCKET).into_paginator().send();
        let (mut count, mut longest) = (0, std::time::Duration::ZERO);
        loop {
            let page_started = Instant::now();
            let Some(page) = pages.next().await else { break };
            count += page.unwrap().contents().len();
            longest = longest.max(page_started.elapsed());
        }
        assert_eq!(count, OBJECTS);
        println!("{round} listing: {:?}, slowest page {longest:?}", started.elapsed());
    }
    served.stop().await;
}

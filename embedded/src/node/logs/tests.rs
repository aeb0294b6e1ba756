#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};

use super::{ContainerLog, Output, Selection, read};
use crate::node::testing::Folder;

fn log(folder: &Folder, bytes: u64) -> Arc<ContainerLog> {
    ContainerLog::new(PathBuf::from(folder.path()).join("log"), bytes)
}

async fn text(log: &ContainerLog, selection: Selection) -> String {
    let mut stream = read(log, selection).await.unwrap().unwrap();
    let mut all = Vec::new();
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece.unwrap());
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn lines_come_back_whole_in_whatever_pieces_they_were_written() {
    let folder = Folder::new();
    let log = log(&folder, 1 << 20);
    let instance = log.begin().unwrap();
    instance.append(Output::Stdout, b"one\ntw");
    instance.append(Output::Stderr, b"err\n");
    instance.append(Output::Stdout, b"o\nlast");
    instance.finish();
    assert_eq!(text(&log, Selection::default()).await, "one\nerr\ntwo\nlast");
    assert_eq!(text(&log, Selection { tail_lines: Some(2), ..Selection::default() }).await, "two\nlast");
    assert_eq!(text(&log, Selection { tail_lines: Some(0), ..Selection::default() }).await, "");
    assert_eq!(text(&log, Selection { tail_lines: Some(99), ..Selection::default() }).await, "one\nerr\ntwo\nlast");
    assert_eq!(text(&log, Selection { limit_bytes: Some(5), ..Selection::default() }).await, "one\ne");
    let timed = text(&log, Selection { timestamps: true, tail_lines: Some(1), ..Selection::default() }).await;
    let (time, rest) = timed.split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok() && time.len() == 30 && rest == "last", "{timed}");
}

#[tokio::test]
async fn since_leaves_out_what_is_older() {
    let folder = Folder::new();
    let log = log(&folder, 1 << 20);
    let instance = log.begin().unwrap();
    instance.append(Output::Stdout, b"old\n");
    let between = jiff::Timestamp::now();
    instance.append(Output::Stdout, b"new\n");
    assert_eq!(text(&log, Selection { since: Some(between), ..Selection::default() }).await, "new\n");
    let later = between + Duration::from_secs(60);
    assert_eq!(text(&log, Selection { since: Some(later), ..Selection::default() }).await, "");
}

#[tokio::test]
async fn a_long_line_is_one_line_again() {
    let folder = Folder::new();
    let log = log(&folder, 1 << 20);
    let instance = log.begin().unwrap();
    let long = "x".repeat(50_000);
    for piece in format!("{long}\nshort\n").as_bytes().chunks(7_000) {
        instance.append(Output::Stdout, piece);
    }
    assert_eq!(text(&log, Selection::default()).await, format!("{long}\nshort\n"));
}

#[tokio::test]
async fn rotation_bounds_the_size_and_tail_reaches_over_it() {
    let folder = Folder::new();
    let log = log(&folder, 1000);
    let instance = log.begin().unwrap();
    for number in 0..200 {
        instance.append(Output::Stdout, format!("line {number:03}\n").as_bytes());
    }
    let total: u64 = std::fs::read_dir(log.folder()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!((1000..=2200).contains(&total), "{total} bytes");
    let tail = text(&log, Selection { tail_lines: Some(25), ..Selection::default() }).await;
    let expected: String = (175..200).map(|number| format!("line {number:03}\n")).collect();
    assert_eq!(tail, expected);
    assert!(text(&log, Selection::default()).await.ends_with("line 199\n"));
}

#[tokio::test]
async fn a_follower_gets_lines_as_they_come_across_a_rotation_and_ends_with_the_instance() {
    let folder = Folder::new();
    let log = log(&folder, 300);
    let instance = log.begin().unwrap();
    let mut stream = read(&log, Selection { follow: true, ..Selection::default() }).await.unwrap().unwrap();
    let mut seen = String::new();
    for number in 0..50 {
        assert!(stream.next().now_or_never().is_none(), "nothing was written, yet something came");
        let line = format!("line {number}\n");
        instance.append(Output::Stdout, line.as_bytes());
        let piece = tokio::time::timeout(Duration::from_secs(5), stream.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(piece, line.as_bytes());
        seen.push_str(&line);
    }
    instance.finish();
    assert!(tokio::time::timeout(Duration::from_secs(5), stream.next()).await.unwrap().is_none());
    assert_eq!(seen.lines().count(), 50);
}

#[tokio::test]
async fn the_previous_instance_is_kept_and_the_one_before_is_not() {
    let folder = Folder::new();
    let log = log(&folder, 1 << 20);
    let previous = || Selection { previous: true, ..Selection::default() };
    assert!(read(&log, Selection::default()).await.unwrap().is_none());
    for life in 0..3 {
        let instance = log.begin().unwrap();
        if life == 0 {
            assert!(read(&log, previous()).await.unwrap().is_none());
        }
        instance.append(Output::Stdout, format!("life {life}\n").as_bytes());
        instance.finish();
    }
    assert_eq!(text(&log, Selection::default()).await, "life 2\n");
    assert_eq!(text(&log, previous()).await, "life 1\n");
    assert_eq!(std::fs::read_dir(log.folder()).unwrap().count(), 2);
    // The next agent finds them again.
    let reopened = ContainerLog::new(log.folder().to_owned(), 1 << 20);
    assert_eq!(text(&reopened, Selection { follow: true, ..Selection::default() }).await, "life 2\n");
    reopened.begin().unwrap();
    assert_eq!(text(&reopened, previous()).await, "life 2\n");
}

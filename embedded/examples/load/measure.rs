//! The figures: creations a second from 1 and 32 clients, lists a second of 500 ConfigMaps, reads a second, and how long a change takes to
//! reach many watches.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::Failure;
use crate::client::{Connection, Target};

/// One line of the table.
pub(crate) struct Figure {
    pub what: String,
    pub value: String,
}

impl Figure {
    fn rate(what: impl Into<String>, count: usize, time: Duration) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self { what: format!("{}, per second", what.into()), value: format!("{:.0}", f64::from(count) / time.as_secs_f64()) }
    }

    fn time(what: impl Into<String>, time: Duration) -> Self {
        Self { what: format!("{}, ms", what.into()), value: format!("{:.2}", time.as_secs_f64() * 1000.0) }
    }
}

/// Objects of the lists.
const LISTED: usize = 500;
/// Watches a change has to reach.
const WATCHES: usize = 100;
const CHANGES: usize = 50;

fn collection(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

fn config_map(name: &str) -> String {
    let data = json!({"first": "some text of usual length", "second": "x".repeat(100)});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"made-by": "load"}}, "data": data}).to_string()
}

async fn make_namespace(connection: &mut Connection, name: &str) -> Result<(), Failure> {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string();
    connection.ask("POST", "/api/v1/namespaces", &body, &[201, 409]).await?;
    Ok(())
}

/// All figures, each measured for `time`.
pub(crate) async fn all(target: &Target, time: Duration) -> Result<Vec<Figure>, Failure> {
    // Names are never used twice, so that a second run on the same server works too.
    let run = uuid::Uuid::new_v4().simple().to_string();
    let mut connection = target.connect().await?;
    let listed = format!("load-{run}");
    for namespace in ["load", &listed] {
        make_namespace(&mut connection, namespace).await?;
    }
    let mut figures = Vec::new();
    for clients in [1, 32] {
        let (count, took) = creations(target, &run, clients, time).await?;
        figures.push(Figure::rate(format!("creations of ConfigMaps, {clients} client(s)"), count, took));
    }
    for number in 0..LISTED {
        connection.ask("POST", &collection(&listed), &config_map(&format!("listed-{number}")), &[201]).await?;
    }
    let (count, took) = repeat(&mut connection, &collection(&listed), time).await?;
    figures.push(Figure::rate(format!("lists of {LISTED} ConfigMaps, 1 client"), count, took));
    let (count, took) = repeat(&mut connection, &format!("{}/listed-7", collection(&listed)), time).await?;
    figures.push(Figure::rate("reads of one ConfigMap, 1 client", count, took));
    figures.extend(fan_out(target, &mut connection, &run).await?);
    Ok(figures)
}

async fn creations(target: &Target, run: &str, clients: usize, time: Duration) -> Result<(usize, Duration), Failure> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(target.connect().await?);
    }
    let began = Instant::now();
    let tasks: Vec<_> = connections
        .into_iter()
        .enumerate()
        .map(|(client, mut connection)| {
            let prefix = format!("{run}-{clients}-{client}");
            tokio::spawn(async move {
                let mut count = 0;
                while began.elapsed() < time {
                    connection.ask("POST", &collection("load"), &config_map(&format!("{prefix}-{count}")), &[201]).await?;
                    count += 1;
                }
                Ok::<usize, Failure>(count)
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await??;
    }
    Ok((total, began.elapsed()))
}

async fn repeat(connection: &mut Connection, path: &str, time: Duration) -> Result<(usize, Duration), Failure> {
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < time {
        connection.ask("GET", path, "", &[200]).await?;
        count += 1;
    }
    Ok((count, began.elapsed()))
}

/// From sending a creation until the last of the watches has its event, and until its own answer.
async fn fan_out(target: &Target, connection: &mut Connection, run: &str) -> Result<Vec<Figure>, Failure> {
    let namespace = format!("watched-{run}");
    make_namespace(connection, &namespace).await?;
    let (wanted, _) = watch::channel(0_usize);
    let (told, mut telling) = mpsc::channel::<Result<(), String>>(WATCHES);
    // What is in the namespace already (nothing, or what its controllers put there) is counted out by starting at the present.
    for _ in 0..WATCHES {
        let mut watching = target.connect().await?;
        watching.watch(&format!("{}?watch=1&fieldSelector=metadata.name!=kube-root-ca.crt", collection(&namespace))).await?;
        let (mut goal, told) = (wanted.subscribe(), told.clone());
        tokio::spawn(async move {
            let mut seen = 0;
            while goal.changed().await.is_ok() {
                let goal = *goal.borrow_and_update();
                let outcome = watching.events(&mut seen, goal).await.map_err(|error| error.to_string());
                if told.send(outcome).await.is_err() {
                    break;
                }
            }
        });
    }
    let (mut last, mut answered) = (Vec::new(), Vec::new());
    for number in 1..=CHANGES {
        wanted.send_replace(number);
        let began = Instant::now();
        connection.ask("POST", &collection(&namespace), &config_map(&format!("news-{number}")), &[201]).await?;
        answered.push(began.elapsed());
        for _ in 0..WATCHES {
            telling.recv().await.ok_or("all watches have ended")??;
        }
        last.push(began.elapsed());
    }
    let middle = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    Ok(vec![
        Figure::time(format!("creation seen by the last of {WATCHES} watches, median"), middle(&mut last)),
        Figure::time("the same creation answered, median", middle(&mut answered)),
        Figure::time(format!("creation seen by the last of {WATCHES} watches, worst of {CHANGES}"), last[last.len() - 1]),
    ])
}

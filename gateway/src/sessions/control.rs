//! How others reach a session that runs: a few orders, and requests that wait to be sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::link::{Done, LinkError};
use protocol::message::Command;
use tokio::sync::{Notify, oneshot};

use crate::sessions::end::End;

/// A request on its way to the system. Dropped without an answer, it tells its sender that the session ended.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) operation: String,
    pub(crate) command: Command,
    pub(crate) reply: oneshot::Sender<Result<Done, LinkError>>,
    _place: InFlight,
}

/// A place among the requests of a session, given back when it is dropped.
#[derive(Debug)]
struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Orders {
    closed: bool,
    end: Option<End>,
    sign_in: bool,
    asks: Vec<Ask>,
}

/// What a session is told to do.
#[derive(Debug)]
pub(crate) enum Order {
    End(End),
    SignIn,
    Ask(Ask),
}

/// The handle of one session.
#[derive(Debug, Default)]
pub(crate) struct Control {
    orders: Mutex<Orders>,
    notify: Notify,
    in_flight: Arc<AtomicUsize>,
}

impl Control {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session. The first reason counts.
    pub(crate) fn end(&self, end: End) {
        self.orders().end.get_or_insert(end);
        self.notify.notify_one();
    }

    pub(crate) fn sign_in(&self) {
        self.orders().sign_in = true;
        self.notify.notify_one();
    }

    /// Queues a request, unless `most` wait already.
    pub(crate) fn ask(
        &self,
        operation: &str,
        command: Command,
        most: usize,
    ) -> Result<oneshot::Receiver<Result<Done, LinkError>>, LinkError> {
        let mut orders = self.orders();
        if orders.closed {
            return Err(LinkError::NotConnected);
        }
        // Raised under the lock only, so the bound holds; lowered by whoever drops an ask.
        if self.in_flight.load(Ordering::Relaxed) >= most {
            return Err(LinkError::Busy);
        }
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        orders.asks.push(Ask { operation: operation.to_owned(), command, reply, _place: InFlight(self.in_flight.clone()) });
        drop(orders);
        self.notify.notify_one();
        Ok(answer)
    }

    /// The next thing to do; an end goes before everything else.
    pub(crate) async fn next(&self) -> Order {
        loop {
            if let Some(order) = self.take() {
                return order;
            }
            self.notify.notified().await;
        }
    }

    fn take(&self) -> Option<Order> {
        let mut orders = self.orders();
        if let Some(end) = orders.end.take() {
            return Some(Order::End(end));
        }
        if std::mem::take(&mut orders.sign_in) {
            return Some(Order::SignIn);
        }
        if orders.asks.is_empty() { None } else { Some(Order::Ask(orders.asks.remove(0))) }
    }

    /// The session is over: nothing more is taken, and what waits is dropped.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut orders = self.orders();
            orders.closed = true;
            std::mem::take(&mut orders.asks)
        };
        drop(waiting);
    }
}

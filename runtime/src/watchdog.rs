//! Ends the process where what acts for the leader does not end with the leadership: a fault that nothing inside can be trusted to mend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fence::Fence;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(250);
/// Looks in a row that find something acting without leadership, until the process ends. Looks, not a time: a process that stood still for long looks
/// for the first time when it goes on, and has the whole time then.
const LOOKS: u32 = 20;
/// What the process ends with.
const EXIT_CODE: i32 = 70;

/// Marks that something acts for the leader, until it is dropped.
#[derive(Debug)]
pub struct Acting(Arc<AtomicBool>);

impl Drop for Acting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A thread of its own that looks after the fence, so that it works where no task does any more.
#[derive(Debug, Clone)]
pub struct Watchdog {
    acting: Arc<AtomicBool>,
}

impl Watchdog {
    /// Starts it. It ends with the process.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(fence: Fence) -> std::io::Result<Self> {
        let acting = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&acting);
        let mut bad = 0;
        std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            loop {
                std::thread::sleep(INTERVAL);
                bad = if watched.load(Ordering::SeqCst) && !fence.is_open() { bad + 1 } else { 0 };
                if bad >= LOOKS {
                    tracing::error!(
                        "the controllers did not end although this replica leads no more, so the process ends; this is a fault of the program: report the log"
                    );
                    std::process::exit(EXIT_CODE);
                }
            }
        })?;
        Ok(Self { acting })
    }

    /// From now on something acts for the leader.
    pub fn acting(&self) -> Acting {
        self.acting.store(true, Ordering::SeqCst);
        Acting(Arc::clone(&self.acting))
    }
}

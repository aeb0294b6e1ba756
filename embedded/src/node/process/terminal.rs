//! Pseudo terminals: what a program with `tty: true` has for its input and outputs.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::net::unix::pipe;

/// The near side of a pseudo terminal. Clones are the same terminal; the program sees it hang up when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Terminal(Arc<Ends>);

/// The terminal is no pipe, but it is read and written like one.
#[derive(Debug)]
struct Ends {
    reading: pipe::Receiver,
    writing: pipe::Sender,
}

impl Terminal {
    /// A new terminal, and the side that becomes the program's input and outputs. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What the system says: it has no more terminals, or no descriptors.
    pub fn open() -> io::Result<(Self, OwnedFd)> {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        let far = ioctl_tiocgptpeer(&near, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        fcntl_setfl(&near, fcntl_getfl(&near)? | OFlags::NONBLOCK)?;
        let reading = pipe::Receiver::from_owned_fd_unchecked(near.try_clone()?)?;
        let writing = pipe::Sender::from_owned_fd_unchecked(near)?;
        Ok((Self(Arc::new(Ends { reading, writing })), far))
    }

    /// Tells the program how many characters fit.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        if let Err(error) = tcsetwinsize(&self.0.writing, size) {
            tracing::debug!(%error, "the size of a terminal could not be set");
        }
    }

    /// Reads what the program wrote; 0 once no program has the terminal any more. Nothing is lost when this is given up.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.0.reading.readable().await?;
            match self.0.reading.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The other side is closed.
                Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => return Ok(0),
                outcome => return outcome,
            }
        }
    }

    /// Types this.
    ///
    /// # Errors
    /// What the system says.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.0.writing.writable().await?;
            match self.0.writing.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

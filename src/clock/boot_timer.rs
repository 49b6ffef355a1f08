//! A timer on boot time: unlike the timers of tokio it goes on during suspend.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

/// Waits for spans of boot time.
#[derive(Debug)]
pub struct BootTimer {
    timer: AsyncFd<Timer>,
}

#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl BootTimer {
    /// A timer of the current runtime.
    ///
    /// # Errors
    /// When the process has no file descriptors left.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "the successor is unsafe, and a timer that owns its descriptor meets its conditions"
        )]
        let timer = AsyncFd::new(Timer(timer))?;
        Ok(Self { timer })
    }

    /// Returns after `span`, at once if it is zero.
    ///
    /// # Cancel safety
    /// Safe: a wait that is dropped leaves nothing behind that the next one would notice.
    ///
    /// # Errors
    /// When the kernel refuses the timer; it has no reason to.
    pub async fn wait(&self, span: Duration) -> io::Result<()> {
        if span.is_zero() {
            return Ok(());
        }
        let span = TimeSpec::nanoseconds(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX));
        self.timer.get_ref().0.set(Expiration::OneShot(span), TimerSetTimeFlags::empty())?;
        loop {
            let mut ready = self.timer.readable().await?;
            match ready.get_inner().0.wait() {
                Ok(()) => return Ok(()),
                Err(nix::errno::Errno::EAGAIN) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_fires_again_after_a_wait_that_was_given_up() {
        let timer = BootTimer::new().unwrap();
        tokio::select! {
            biased;
            () = std::future::ready(()) => {}
            _ = timer.wait(Duration::from_hours(1)) => {}
        }
        timer.wait(Duration::from_millis(1)).await.unwrap();
        timer.wait(Duration::from_millis(1)).await.unwrap();
    }
}

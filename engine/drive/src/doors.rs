//! Accepting connections, as far as the forwarding thread does it by itself.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::blocks::Input;
use crate::door::{Door, OpenDoor};
use crate::io::Io;
use crate::poll::{accept, set_no_delay};
use crate::run::Run;

/// Doors are numbered from here in the poll.
pub(crate) const DOOR_TOKENS: u64 = 1 << 32;
/// Connections accepted from one door before others are served.
const ACCEPTS_MAX: usize = 64;
/// Rest of the doors after the system had no descriptor left.
const DOOR_REST_NS: u64 = 100_000_000;

impl Run {
    /// Accepts connections from a listening socket from now on.
    pub fn open_door(&mut self, fd: OwnedFd, rule: Door) -> io::Result<()> {
        let token = DOOR_TOKENS + self.doors.len() as u64;
        self.poll.add(fd.as_raw_fd(), token, true, false)?;
        self.doors.push(OpenDoor { fd, rule });
        Ok(())
    }

    /// Changes how a door treats newcomers.
    pub fn change_door(&mut self, rule: &Door) {
        for door in self.doors.iter_mut().filter(|door| door.rule.number == rule.number) {
            door.rule = rule.clone();
        }
        if let Some(open_rule) = &rule.welcome.open_rule {
            self.engine.change_open_rule(rule.number, open_rule);
        }
    }

    /// Accepts nobody any more.
    pub fn close_doors(&mut self) {
        for door in self.doors.drain(..) {
            // Watched since it was opened, so this cannot fail; dropping it closes it.
            let _ = self.poll.remove(door.fd.as_raw_fd());
        }
    }

    pub(crate) fn accept_from(&mut self, at: usize) {
        for _ in 0..ACCEPTS_MAX {
            let Some(door) = self.doors.get(at) else { return };
            match accept(door.fd.as_raw_fd()) {
                Ok((connection, peer)) => {
                    let (admission, arrival, info) = door.rule.receive(self.shared.next_cid(), peer);
                    let cid = admission.cid;
                    set_no_delay(connection.as_raw_fd());
                    let slot = self.engine.open_arrived(admission, arrival, &info, self.now_ns);
                    self.keep(slot, Io::new(connection, cid, None, Vec::new()));
                    self.flush(slot, Input::NONE);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)
                    ) =>
                {
                    self.rest_doors(true);
                    return;
                }
                // The peer gave up while it waited.
                Err(_) => {}
            }
        }
    }

    pub(crate) fn rest_doors(&mut self, rest: bool) {
        self.doors_rest_until = rest.then_some(self.now_ns + DOOR_REST_NS);
        for (at, door) in self.doors.iter().enumerate() {
            let _ = self.poll.change(door.fd.as_raw_fd(), DOOR_TOKENS + at as u64, !rest, false);
        }
    }
}

//! The few system calls that forwarding needs. All `unsafe` of the drive is here and says why it is sound.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Most chunks that one write gathers (the kernel's limit).
pub const CHUNKS_MAX: usize = 1024;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// An epoll instance whose entries carry a number.
pub struct Poll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// One readiness report.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// The number that the descriptor was registered with.
    pub token: u64,
    /// There is something to read, or the peer is gone.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

impl Poll {
    /// An empty instance that reports at most `batch` descriptors at a time.
    pub fn new(batch: usize) -> io::Result<Self> {
        // SAFETY: takes no pointers; the returned descriptor is ours alone.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; batch] })
    }

    fn control(&self, op: libc::c_int, fd: RawFd, token: u64, read: bool, write: bool) -> io::Result<()> {
        let mut events = 0;
        if read {
            events |= libc::EPOLLIN | libc::EPOLLRDHUP;
        }
        if write {
            events |= libc::EPOLLOUT;
        }
        self.control_events(op, fd, token, events)
    }

    fn control_events(&self, op: libc::c_int, fd: RawFd, token: u64, events: libc::c_int) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: `event` lives for the whole call and the kernel copies it.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd, &mut event) }).map(drop)
    }

    /// Starts watching for nothing but the peer's end of the stream.
    pub fn add_for_end(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.control_events(libc::EPOLL_CTL_ADD, fd, token, libc::EPOLLRDHUP)
    }

    /// From now on watches for nothing but the peer's end of the stream.
    pub fn change_for_end(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.control_events(libc::EPOLL_CTL_MOD, fd, token, libc::EPOLLRDHUP)
    }

    /// Starts watching a descriptor.
    pub fn add(&self, fd: RawFd, token: u64, read: bool, write: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, read, write)
    }

    /// Changes what is watched for.
    pub fn change(&self, fd: RawFd, token: u64, read: bool, write: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, read, write)
    }

    /// Stops watching.
    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, false, false)
    }

    /// Waits until something is ready or `timeout_ns` is over (`None` waits for ever) and returns the reports.
    pub fn wait(&mut self, timeout_ns: Option<u64>, into: &mut Vec<Ready>) -> io::Result<()> {
        into.clear();
        let timeout = match timeout_ns {
            None => -1,
            Some(ns) => ns.div_ceil(1_000_000).min(i32::MAX as u64) as libc::c_int,
        };
        // SAFETY: the kernel writes at most `events.len()` entries into a buffer of that size.
        let count = unsafe {
            libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), self.events.len() as libc::c_int, timeout)
        };
        let count = match check(count) {
            Ok(count) => count as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        into.extend(self.events.iter().take(count).map(|event| {
            let flags = event.events as libc::c_int;
            Ready {
                token: event.u64,
                readable: flags & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0,
                writable: flags & (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) != 0,
            }
        }));
        Ok(())
    }
}

/// A counter that wakes a poller.
pub struct Wake(OwnedFd);

impl Wake {
    /// A wake-up that is not raised.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers; the returned descriptor is ours alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?) }))
    }

    /// The descriptor that becomes readable.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Raises it. A full counter is raised already.
    pub fn raise(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: writes eight bytes from an array of eight.
        unsafe { libc::write(self.fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Lowers it.
    pub fn lower(&self) {
        let mut count = [0u8; 8];
        // SAFETY: reads eight bytes into an array of eight.
        unsafe { libc::read(self.fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

/// Reads into `into`; `Ok(0)` is the end of the stream.
pub fn receive(fd: RawFd, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `into.len()` bytes into a slice of that length.
    let count = unsafe { libc::recv(fd, into.as_mut_ptr().cast(), into.len(), libc::MSG_DONTWAIT) };
    if count < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(count as usize)
    }
}

/// Throws away up to `scratch.len()` bytes; `Ok(0)` is the end of the stream. TCP does it without copying them.
pub fn discard(fd: RawFd, scratch: &mut [u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: whatever the kernel writes, it is at most `scratch.len()` bytes into a slice of that length.
    let count = unsafe { libc::recv(fd, scratch.as_mut_ptr().cast(), scratch.len(), flags) };
    if count < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(count as usize)
    }
}

/// A list of chunks for one gathering write.
#[derive(Default)]
pub struct Gather {
    parts: Vec<libc::iovec>,
    bytes: usize,
}

// SAFETY: the pointers are only followed by `send`, whose caller vouches for them; a list that moves to another thread
// between two uses is empty or will be cleared first.
unsafe impl Send for Gather {}

impl Gather {
    /// Forgets all chunks.
    pub fn clear(&mut self) {
        self.parts.clear();
        self.bytes = 0;
    }

    /// Adds a chunk; false when no more fit. The caller keeps `part` alive until `send`.
    pub fn push(&mut self, part: &[u8]) -> bool {
        if !part.is_empty() {
            self.parts.push(libc::iovec { iov_base: part.as_ptr() as *mut libc::c_void, iov_len: part.len() });
            self.bytes += part.len();
        }
        self.parts.len() < CHUNKS_MAX
    }

    /// Bytes of all chunks.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes as much as the socket takes.
    ///
    /// # Safety
    /// Every slice given to `push` since `clear` must still be alive and unchanged.
    pub unsafe fn send(&self, fd: RawFd) -> io::Result<usize> {
        // SAFETY: an all-zero msghdr is a valid empty one.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = self.parts.as_ptr() as *mut libc::iovec;
        message.msg_iovlen = self.parts.len();
        // SAFETY: the iovec array and, by the caller's promise, what it points to are alive; the kernel only reads them.
        let count = unsafe { libc::sendmsg(fd, &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
        if count < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(count as usize)
        }
    }
}

/// Ends our side of the stream; the peer can still be heard.
pub fn shut_write(fd: RawFd) {
    // SAFETY: takes no pointers.
    unsafe { libc::shutdown(fd, libc::SHUT_WR) };
}

/// Small writes leave at once.
pub fn set_no_delay(fd: RawFd) {
    let on: libc::c_int = 1;
    // SAFETY: the option value is a c_int that lives for the call. Fails harmlessly on sockets that are not TCP.
    unsafe {
        libc::setsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            std::ptr::from_ref(&on).cast(),
            std::mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
}

/// The next connection that waits at a listening socket, non-blocking and closed on exec.
pub fn accept(fd: RawFd) -> io::Result<(OwnedFd, SocketAddr)> {
    // SAFETY: an all-zero sockaddr_storage is a valid empty one.
    let mut address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut len = std::mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into `address`, and the new length into `len`.
    let accepted = unsafe {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        check(libc::accept4(fd, std::ptr::from_mut(&mut address).cast(), &mut len, flags))?
    };
    // SAFETY: the descriptor is new and ours alone.
    let connection = unsafe { OwnedFd::from_raw_fd(accepted) };
    Ok((connection, socket_address(&address)))
}

fn socket_address(address: &libc::sockaddr_storage) -> SocketAddr {
    match libc::c_int::from(address.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is a sockaddr_in, and a sockaddr_storage is large enough for one.
            let v4 = unsafe { *std::ptr::from_ref(address).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            SocketAddr::from((ip, u16::from_be(v4.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for sockaddr_in6.
            let v6 = unsafe { *std::ptr::from_ref(address).cast::<libc::sockaddr_in6>() };
            SocketAddr::from((Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port)))
        }
        _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
    }
}

/// Bytes that nobody can predict.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the kernel writes at most N bytes into an array of N; up to 256 bytes it never writes fewer.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    bytes
}

/// The slice of processor time that the calling thread asks for.
const SLICE_NS: u64 = 100_000;

/// `struct sched_attr` as of its first version.
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Asks the scheduler for short slices: the thread gets no more time than others, but gets it sooner when it wakes up.
/// Kernels before 6.12 have no such thing and ignore it.
pub fn ask_for_short_slices() {
    let mut attr =
        SchedAttr { size: 48, policy: 0, flags: 0, nice: 0, priority: 0, runtime: 0, deadline: 0, period: 0 };
    let size = attr.size;
    // SAFETY: the kernel writes at most `size` bytes into a structure of that size.
    if unsafe { libc::syscall(libc::SYS_sched_getattr, 0, std::ptr::from_mut(&mut attr), size, 0) } != 0 {
        return;
    }
    if attr.policy == libc::SCHED_OTHER as u32 {
        attr.runtime = SLICE_NS;
        attr.flags = 0;
        // SAFETY: the kernel reads a structure of the size that it states.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(&attr), 0) };
    }
}

//! CPU time and memory of the measured server and of the generator itself.

use std::fs;

use crate::failure::{Failure, Result};

/// CPU seconds (user and system) that the processes have used so far. A process that is gone fails the run: a server that
/// restarted a part of itself under load was not measured.
pub fn cpu_seconds(pids: &[u32]) -> Result<f64> {
    let mut ticks = 0;
    for pid in pids {
        let text =
            fs::read_to_string(format!("/proc/{pid}/stat")).map_err(Failure::io("reading CPU time of the server"))?;
        ticks +=
            ticks_of_stat(&text).ok_or_else(|| Failure::Protocol(format!("/proc/{pid}/stat holds no CPU times")))?;
    }
    Ok(ticks as f64 / ticks_per_second())
}

/// CPU seconds that the whole machine has worked so far, the kernel's own and those stolen by its host included.
pub fn machine_cpu_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").map_err(Failure::io("reading CPU time of the machine"))?;
    let ticks =
        busy_ticks_of_machine(&text).ok_or_else(|| Failure::Protocol("/proc/stat holds no CPU times".into()))?;
    Ok(ticks as f64 / ticks_per_second())
}

/// Resident bytes of the processes together.
pub fn resident_bytes(pids: &[u32]) -> Result<u64> {
    let mut pages = 0;
    for pid in pids {
        let text =
            fs::read_to_string(format!("/proc/{pid}/statm")).map_err(Failure::io("reading memory of the server"))?;
        pages += pages_of_statm(&text)
            .ok_or_else(|| Failure::Protocol(format!("/proc/{pid}/statm holds no resident size")))?;
    }
    // SAFETY: sysconf takes an integer and touches no memory of ours.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(pages * page as u64)
}

/// CPU seconds that the generator itself has used so far.
pub fn own_cpu_seconds() -> f64 {
    // SAFETY: an all-zero rusage is a valid value of this plain C structure, and getrusage only fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Raises the limit of open files as far as the system allows.
pub fn raise_file_limit() {
    // SAFETY: both calls read or fill a plain C structure that lives on this stack.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf takes an integer and touches no memory of ours.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

/// utime + stime, fields 14 and 15; the name in field 2 may itself hold blanks and brackets.
fn ticks_of_stat(text: &str) -> Option<u64> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The first line: user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user and nice.
fn busy_ticks_of_machine(text: &str) -> Option<u64> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> =
        line.split_ascii_whitespace().take(8).map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, steal] = fields[..] else {
        return None;
    };
    Some(user + nice + system + irq + softirq + steal)
}

fn pages_of_statm(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_are_read_behind_a_name_with_brackets() {
        let text = "77 (we) ird (x) S 1 77 77 0 -1 4194560 100 0 0 0 21 34 0 0 20 0 1 0 100 1 2 3";
        assert_eq!(ticks_of_stat(text), Some(55));
        assert_eq!(ticks_of_stat("77 (short) S 1"), None);
        assert_eq!(ticks_of_stat(""), None);
    }

    #[test]
    fn a_machine_is_busy_when_it_is_not_idle() {
        let text = "cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9 9 9 9 9 9 9 9 9\n";
        assert_eq!(busy_ticks_of_machine(text), Some(63));
        assert_eq!(busy_ticks_of_machine("cpu  1 2 4"), None);
        assert_eq!(busy_ticks_of_machine("intr 1"), None);
        assert!(machine_cpu_seconds().unwrap() > 0.0);
    }

    #[test]
    fn resident_pages_are_the_second_field() {
        assert_eq!(pages_of_statm("5000 1234 10 1 0 20 0\n"), Some(1234));
        assert_eq!(pages_of_statm("5000"), None);
    }

    #[test]
    fn a_process_that_is_gone_is_a_failure() {
        assert!(cpu_seconds(&[u32::MAX]).is_err());
        assert!(resident_bytes(&[std::process::id()]).unwrap() > 0);
    }
}

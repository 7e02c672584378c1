//! Process calls that the standard library lacks.

use pyo3::prelude::*;

/// Has the kernel kill this process with `signal` when its parent dies.
#[pyfunction]
fn set_parent_death_signal(signal: i32) -> PyResult<()> {
    // SAFETY: takes no pointers.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong, 0, 0, 0) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}

/// Sets the name that `ps` and `pgrep` show (15 bytes at most).
#[pyfunction]
fn set_process_name(name: &str) -> PyResult<()> {
    let mut buffer = [0u8; 16];
    let len = name.len().min(15);
    buffer[..len].copy_from_slice(&name.as_bytes()[..len]);
    // SAFETY: the kernel reads at most 16 bytes up to a NUL, and the buffer has both.
    if unsafe { libc::prctl(libc::PR_SET_NAME, buffer.as_ptr(), 0, 0, 0) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(set_parent_death_signal, module)?)?;
    module.add_function(wrap_pyfunction!(set_process_name, module)?)
}

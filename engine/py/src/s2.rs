//! S2 sessions: the rest of a handshake is driven from Python, then the session moves into the engine.

use natsfleet_core::s2::{Effort, Pace, Packer};
use natsfleet_drive as drive;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

create_exception!(_native, S2Error, PyException, "What the peer sent is no S2 stream; the text says why.");

/// The compression of one connection, both ways. Empty once the engine has taken it over.
#[pyclass]
pub struct S2Session {
    session: Option<drive::S2Session>,
}

impl S2Session {
    /// Takes the session out, for the engine.
    pub fn take(&mut self) -> PyResult<drive::S2Session> {
        self.session.take().ok_or_else(handed_over)
    }

    fn held(&self) -> PyResult<&drive::S2Session> {
        self.session.as_ref().ok_or_else(handed_over)
    }

    fn held_mut(&mut self) -> PyResult<&mut drive::S2Session> {
        self.session.as_mut().ok_or_else(handed_over)
    }
}

fn handed_over() -> PyErr {
    PyRuntimeError::new_err("the S2 session was handed over")
}

#[pymethods]
impl S2Session {
    /// `mode` is that of our side: `s2_auto` follows the round trip time by these thresholds, other modes ignore both.
    #[new]
    #[pyo3(signature = (mode, *, rtt_ns=0, thresholds_ns=Vec::new()))]
    fn new(mode: &str, rtt_ns: u64, thresholds_ns: Vec<u64>) -> PyResult<Self> {
        let pace = match Effort::parse(mode) {
            Some(effort) => Pace::Fixed(effort),
            None if mode == "s2_auto" => Pace::ByRoundTrip(thresholds_ns),
            None => return Err(PyValueError::new_err(format!("no mode of compression: {mode}"))),
        };
        Ok(Self { session: Some(drive::S2Session::new(pace, rtt_ns)) })
    }

    /// The mode at present, which is never `s2_auto`.
    #[getter]
    fn mode(&self) -> PyResult<&'static str> {
        Ok(self.held()?.effort().name())
    }

    /// Whether `receive` would return something without more input.
    #[getter]
    fn has_more(&self) -> PyResult<bool> {
        Ok(self.held()?.has_more())
    }

    /// Takes input and returns what it stands for, a bounded part at a time (`has_more`). Raises S2Error.
    fn receive<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut plain = Vec::new();
        self.held_mut()?.read(data, &mut plain).map_err(|error| S2Error::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &plain))
    }

    /// Puts plain bytes back that were read too far.
    fn unread(&mut self, data: &[u8]) -> PyResult<()> {
        self.held_mut()?.unread(data);
        Ok(())
    }

    /// The stream for some bytes; nothing for none.
    fn pack<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut wire = Vec::new();
        self.held()?.pack(&[data], &mut Packer::default(), &mut wire);
        Ok(PyBytes::new(py, &wire))
    }
}

/// Adds what is defined here to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<S2Session>()?;
    module.add("S2Error", module.py().get_type::<S2Error>())
}

//! TLS configurations and sessions: the handshake is driven from Python, then the session moves into the engine.

use std::path::PathBuf;

use natsfleet_drive::tls;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

create_exception!(
    _native,
    TlsConfigError,
    PyValueError,
    "A TLS configuration that cannot be built; the text says why."
);
create_exception!(_native, TlsError, PyException, "The end of a TLS session; the text says why.");
create_exception!(_native, NotTlsError, TlsError, "The peer speaks something else than TLS.");

fn refused(error: tls::TlsConfigError) -> PyErr {
    TlsConfigError::new_err(error.to_string())
}

fn ended(error: tls::TlsError) -> PyErr {
    let text = error.to_string();
    if error.is_not_tls() {
        NotTlsError::new_err(text)
    } else {
        TlsError::new_err(text)
    }
}

/// What the sessions of one listener share: certificates, roots, tickets.
#[pyclass(frozen)]
pub struct TlsServer(tls::TlsServer);

#[pymethods]
impl TlsServer {
    /// Reads the files and checks the names; raises TlsConfigError with the reference's text.
    #[new]
    #[pyo3(signature = (*, certificates, ca_file, verify, min_version, cipher_suites, curves, pinned_certs))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        certificates: Vec<(PathBuf, PathBuf)>,
        ca_file: Option<PathBuf>,
        verify: bool,
        min_version: &str,
        cipher_suites: Vec<String>,
        curves: Vec<String>,
        pinned_certs: Vec<String>,
    ) -> PyResult<Self> {
        let pins: Result<Vec<_>, _> = pinned_certs.iter().map(|pin| tls::parse_pin(pin)).collect();
        let spec = tls::TlsServerSpec {
            certificates,
            ca_pem: ca_file,
            verify,
            min_version: tls::MinVersion::parse(min_version).map_err(refused)?,
            cipher_suites,
            curves,
            pinned_sha256: pins.map_err(refused)?,
        };
        py.detach(|| tls::TlsServer::build(&spec)).map(Self).map_err(refused)
    }

    /// Starts the server's side of a session.
    fn accept(&self) -> PyResult<TlsSession> {
        self.0.accept().map(|session| TlsSession { session: Some(session) }).map_err(ended)
    }
}

/// What the sessions that are dialled with one configuration share.
#[pyclass(frozen)]
pub struct TlsClient(tls::TlsClient);

#[pymethods]
impl TlsClient {
    /// Reads the files and checks the names; raises TlsConfigError with the reference's text.
    #[new]
    #[pyo3(signature = (*, certificates, ca_file, insecure, min_version, cipher_suites, curves, pinned_certs))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        certificates: Vec<(PathBuf, PathBuf)>,
        ca_file: Option<PathBuf>,
        insecure: bool,
        min_version: &str,
        cipher_suites: Vec<String>,
        curves: Vec<String>,
        pinned_certs: Vec<String>,
    ) -> PyResult<Self> {
        let pins: Result<Vec<_>, _> = pinned_certs.iter().map(|pin| tls::parse_pin(pin)).collect();
        let spec = tls::TlsClientSpec {
            certificates,
            ca_pem: ca_file,
            insecure,
            min_version: tls::MinVersion::parse(min_version).map_err(refused)?,
            cipher_suites,
            curves,
            pinned_sha256: pins.map_err(refused)?,
        };
        py.detach(|| tls::TlsClient::build(&spec)).map(Self).map_err(refused)
    }

    /// Starts the session of a connection to a host, by name or address; its first flight waits in the output.
    fn dial(&self, host: &str) -> PyResult<TlsSession> {
        self.0.dial(host).map(|session| TlsSession { session: Some(session) }).map_err(ended)
    }
}

/// One TLS connection without its socket. Empty once the engine has taken it over.
#[pyclass]
pub struct TlsSession {
    session: Option<tls::TlsSession>,
}

impl TlsSession {
    /// Takes the session out, for the engine. `None` if that happened before.
    pub fn take(&mut self) -> Option<tls::TlsSession> {
        self.session.take()
    }

    fn held(&self) -> PyResult<&tls::TlsSession> {
        self.session.as_ref().ok_or_else(handed_over)
    }

    fn held_mut(&mut self) -> PyResult<&mut tls::TlsSession> {
        self.session.as_mut().ok_or_else(handed_over)
    }
}

/// The error of using a session that the engine has.
pub fn handed_over() -> PyErr {
    PyRuntimeError::new_err("the TLS session was handed over")
}

#[pymethods]
impl TlsSession {
    /// Takes ciphertext from the peer. After TlsError `take_output` may still hold the alert to send.
    fn receive(&mut self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        let session = self.held_mut()?;
        py.detach(|| session.receive(data)).map_err(ended)
    }

    /// Takes the ciphertext that waits to be sent.
    fn take_output<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut output = Vec::new();
        self.held_mut()?.take_output(&mut output);
        Ok(PyBytes::new(py, &output))
    }

    /// Takes the plaintext that was received.
    fn read_plain<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut plain = Vec::new();
        self.held_mut()?.read_plain(&mut plain);
        Ok(PyBytes::new(py, &plain))
    }

    /// Puts plaintext back that was read too far.
    fn unread_plain(&mut self, data: &[u8]) -> PyResult<()> {
        self.held_mut()?.unread_plain(data);
        Ok(())
    }

    /// Encrypts plaintext; the ciphertext waits in the output.
    fn write_plain(&mut self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        let session = self.held_mut()?;
        py.detach(|| session.write_plain(data)).map_err(ended)
    }

    /// Says that nothing more will be sent.
    fn close_notify(&mut self) -> PyResult<()> {
        self.held_mut()?.close_notify();
        Ok(())
    }

    /// Whether the handshake is not complete yet.
    #[getter]
    fn handshaking(&self) -> PyResult<bool> {
        Ok(self.held()?.is_handshaking())
    }

    /// Whether the peer said that it will send nothing more.
    #[getter]
    fn peer_closed(&self) -> PyResult<bool> {
        Ok(self.held()?.is_peer_closed())
    }

    /// Whether the input so far ends inside a record.
    #[getter]
    fn mid_record(&self) -> PyResult<bool> {
        Ok(self.held()?.is_mid_record())
    }

    /// Whether an earlier session was resumed.
    #[getter]
    fn resumed(&self) -> PyResult<bool> {
        Ok(self.held()?.is_resumed())
    }

    /// `1.2` or `1.3`; empty before it is agreed.
    #[getter]
    fn version(&self) -> PyResult<&'static str> {
        Ok(self.held()?.version().unwrap_or_default())
    }

    /// The cipher suite as monitoring names it; empty before it is agreed.
    #[getter]
    fn cipher(&self) -> PyResult<&'static str> {
        Ok(self.held()?.cipher().unwrap_or_default())
    }

    /// The peer's own certificate, None if it showed none.
    #[getter]
    fn peer_certificate_der<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.held()?.peer_certificate_der().map(|der| PyBytes::new(py, &der)))
    }

    /// The chain that the peer showed, its own certificate first.
    #[getter]
    fn peer_certificates_der<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        Ok(self.held()?.peer_certificates_der().iter().map(|der| PyBytes::new(py, der)).collect())
    }
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo, None if it is no certificate.
#[pyfunction]
fn spki_sha256<'py>(py: Python<'py>, certificate_der: &[u8]) -> Option<Bound<'py, PyBytes>> {
    tls::spki_sha256(certificate_der).map(|hash| PyBytes::new(py, &hash))
}

/// Adds what is defined here to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add_class::<TlsServer>()?;
    module.add_class::<TlsClient>()?;
    module.add_class::<TlsSession>()?;
    module.add("TlsConfigError", py.get_type::<TlsConfigError>())?;
    module.add("TlsError", py.get_type::<TlsError>())?;
    module.add("NotTlsError", py.get_type::<NotTlsError>())?;
    module.add_function(wrap_pyfunction!(spki_sha256, module)?)
}

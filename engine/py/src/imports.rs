//! Compiled imports.

use std::sync::Arc;

use natsfleet_core::imports::{Answers, Imports as CoreImports, LatencySpec, Sampling, ServiceSpec, StreamSpec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// `(exporter, subject, to, allow_trace)`
type Stream = (u32, Vec<u8>, Vec<u8>, bool);
/// `(exporter, subject, to, streamed, threshold_ns, share, latency, allow_trace)`
type Service = (u32, Vec<u8>, Vec<u8>, bool, u64, bool, Option<Latency>, bool);
/// `(results, percent)`, without a percentage by headers alone
type Latency = (Vec<u8>, Option<u8>);

/// What one account imports from others.
#[pyclass(frozen)]
pub struct Imports(pub Arc<CoreImports>);

#[pymethods]
impl Imports {
    /// `name` and `server` are the account's name and the server's id as JSON strings.
    #[new]
    fn new(name: Vec<u8>, server: Vec<u8>, streams: Vec<Stream>, services: Vec<Service>) -> PyResult<Self> {
        let streams = streams
            .into_iter()
            .map(|(exporter, subject, to, allow_trace)| StreamSpec { exporter, subject, to, allow_trace })
            .collect();
        let services = services
            .into_iter()
            .map(|(exporter, subject, to, streamed, threshold_ns, share, latency, allow_trace)| {
                let answers = if streamed { Answers::Stream } else { Answers::Single };
                let latency = latency.map(|(results, percent)| LatencySpec {
                    results,
                    sampling: percent.map_or(Sampling::Headers, Sampling::Percent),
                });
                ServiceSpec { exporter, subject, to, answers, threshold_ns, share, latency, allow_trace }
            })
            .collect();
        let imports = CoreImports::compile(&name, &server, streams, services)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self(Arc::new(imports)))
    }
}

/// Imports by the numbers of their accounts, for the core.
pub(crate) fn unwrapped(changes: Vec<(u32, Py<Imports>)>) -> Vec<(u32, Arc<CoreImports>)> {
    changes.into_iter().map(|(account, imports)| (account, Arc::clone(&imports.get().0))).collect()
}

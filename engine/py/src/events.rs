//! Events as tuples whose first member is their name.

use natsfleet_core::conn::Traffic;
use natsfleet_core::event::{Event, Violation};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

type Four = (u64, u64, u64, u64);

pub fn four(traffic: &Traffic) -> Four {
    (traffic.in_msgs, traffic.in_bytes, traffic.out_msgs, traffic.out_bytes)
}

pub fn to_python<'py>(py: Python<'py>, event: Event) -> PyResult<Bound<'py, PyAny>> {
    let bytes = |b: &[u8]| PyBytes::new(py, b);
    let tuple = match event {
        Event::Connect { cid, json } => ("connect", cid, bytes(&json)).into_pyobject(py)?.into_any(),
        Event::Info { cid, json } => ("info", cid, bytes(&json)).into_pyobject(py)?.into_any(),
        Event::Closed { cid, account, reason, detail, traffic, subs, about } => {
            ("closed", cid, account, reason.code(), &*detail, four(&traffic), subs, bytes(&about))
                .into_pyobject(py)?
                .into_any()
        }
        Event::Deliver { tag, account, from, subject, reply, header_bytes, body } => {
            ("deliver", tag, account, from, bytes(&subject), bytes(&reply), header_bytes, bytes(&body))
                .into_pyobject(py)?
                .into_any()
        }
        Event::Violation { cid, kind, subject, queue } => {
            let kind = match kind {
                Violation::Publish => "publish",
                Violation::Reply => "reply",
                Violation::Subscribe => "subscribe",
            };
            ("violation", cid, kind, bytes(&subject), bytes(&queue)).into_pyobject(py)?.into_any()
        }
        Event::Trace { cid, inbound, line, body } => {
            ("trace", cid, inbound, bytes(&line), body.as_deref().map(bytes)).into_pyobject(py)?.into_any()
        }
    };
    Ok(tuple)
}

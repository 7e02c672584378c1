//! Views as tuples; `services/shared/engine/views.py` names their members.

use natsfleet_core::view::{ConnView, SubView};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::events::{came_in, four};

/// `(cid, account, traffic, subs, pending, opened_ns, last_in_ns, rtt_ns, about, arrival)`
pub fn conn<'py>(py: Python<'py>, view: &ConnView) -> PyResult<Bound<'py, PyAny>> {
    let about = PyBytes::new(py, &view.about);
    let arrival = view.arrival.as_deref().map(|a| came_in(py, a));
    let traffic = four(&view.traffic);
    let (subs, pending) = (view.subs, view.pending);
    (view.cid, view.account, traffic, subs, pending, view.opened_ns, view.last_in_ns, view.rtt_ns, about, arrival)
        .into_pyobject(py)
        .map(Bound::into_any)
}

/// `(cid, account, subject, queue, sid, delivered, max)`
pub fn sub<'py>(py: Python<'py>, view: &SubView) -> PyResult<Bound<'py, PyAny>> {
    let bytes = |b: &[u8]| PyBytes::new(py, b);
    let (subject, queue, sid) = (bytes(&view.subject), bytes(&view.queue), bytes(&view.sid));
    (view.cid, view.account, subject, queue, sid, view.delivered, view.max).into_pyobject(py).map(Bound::into_any)
}

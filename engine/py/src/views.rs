//! Views as tuples; `services/shared/engine/views.py` names their members.

use natsfleet_core::engine::Totals;
use natsfleet_core::imports::Sampling;
use natsfleet_core::view::{AccountView, ConnView, OpenRequest, SubView};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::events::{came_in, four};

/// `(cid, account, traffic, stalls, subs, pending, opened_ns, last_in_ns, rtt_ns, about, arrival)`
pub fn conn<'py>(py: Python<'py>, view: &ConnView) -> PyResult<Bound<'py, PyAny>> {
    let about = PyBytes::new(py, &view.about);
    let arrival = view.arrival.as_deref().map(|a| came_in(py, a));
    let traffic = four(&view.traffic);
    let (stalls, subs, pending) = (view.stalls, view.subs, view.pending);
    (
        view.cid,
        view.account,
        traffic,
        stalls,
        subs,
        pending,
        view.opened_ns,
        view.last_in_ns,
        view.rtt_ns,
        about,
        arrival,
    )
        .into_pyobject(py)
        .map(Bound::into_any)
}

/// `(cid, account, subject, queue, sid, delivered, max)`
pub fn sub<'py>(py: Python<'py>, view: &SubView) -> PyResult<Bound<'py, PyAny>> {
    let bytes = |b: &[u8]| PyBytes::new(py, b);
    let (subject, queue, sid) = (bytes(&view.subject), bytes(&view.queue), bytes(&view.sid));
    (view.cid, view.account, subject, queue, sid, view.delivered, view.max).into_pyobject(py).map(Bound::into_any)
}

/// `(number, conns, traffic, slow_consumers, (subs, inserts, removes, matches, hits, remembered, fanout_max, fanout_total))`
pub fn account<'py>(py: Python<'py>, view: &AccountView) -> PyResult<Bound<'py, PyAny>> {
    let l = &view.lookups;
    let lookups = (l.subs, l.inserts, l.removes, l.matches, l.hits, l.remembered, l.fanout_max, l.fanout_total);
    (view.number, view.conns, four(&view.traffic), view.slow_consumers, lookups).into_pyobject(py).map(Bound::into_any)
}

/// `(subject, asking account, reply, shared, latency)`, where latency is `(results, percentage)`
pub fn open_request<'py>(py: Python<'py>, open: &OpenRequest) -> PyResult<Bound<'py, PyAny>> {
    let latency = open.latency.as_ref().map(|latency| {
        let percent = match latency.sampling {
            Sampling::Percent(percent) => Some(percent),
            Sampling::Headers => None,
        };
        (PyBytes::new(py, &latency.results), percent)
    });
    (PyBytes::new(py, &open.subject), open.asker, PyBytes::new(py, &open.reply), open.shared, latency)
        .into_pyobject(py)
        .map(Bound::into_any)
}

/// The counters of the whole engine by name, at the time `now_ns` of its clock.
pub fn totals<'py>(py: Python<'py>, totals: &Totals, now_ns: u64) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("in_msgs", totals.traffic.in_msgs)?;
    dict.set_item("in_bytes", totals.traffic.in_bytes)?;
    dict.set_item("out_msgs", totals.traffic.out_msgs)?;
    dict.set_item("out_bytes", totals.traffic.out_bytes)?;
    dict.set_item("routed_in_msgs", totals.routed.in_msgs)?;
    dict.set_item("routed_in_bytes", totals.routed.in_bytes)?;
    dict.set_item("routed_out_msgs", totals.routed.out_msgs)?;
    dict.set_item("routed_out_bytes", totals.routed.out_bytes)?;
    dict.set_item("slow_consumers", totals.slow_consumers)?;
    dict.set_item("stale_connections", totals.stale_connections)?;
    dict.set_item("subscriptions", totals.subs)?;
    dict.set_item("connections", totals.conns)?;
    dict.set_item("total_connections", totals.conns_ever)?;
    dict.set_item("stuck_bytes", totals.stuck_bytes)?;
    dict.set_item("stalled", totals.stalled)?;
    dict.set_item("now_ns", now_ns)?;
    Ok(dict)
}

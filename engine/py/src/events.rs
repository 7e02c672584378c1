//! Events as tuples whose first member is their name.

use natsfleet_core::conn::{Arrival, Traffic};
use natsfleet_core::event::{Event, Heading, Step, Violation};
use natsfleet_core::imports::Outcome;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::views;

type Four = (u64, u64, u64, u64);

pub fn four(traffic: &Traffic) -> Four {
    (traffic.in_msgs, traffic.in_bytes, traffic.out_msgs, traffic.out_bytes)
}

/// `(door, ip, port, nonce, at_ns)`
pub type CameIn<'py> = (u32, String, u16, Bound<'py, PyBytes>, u64);

pub fn came_in<'py>(py: Python<'py>, arrival: &Arrival) -> CameIn<'py> {
    (arrival.door, arrival.ip.to_string(), arrival.port, PyBytes::new(py, &arrival.nonce), arrival.at_ns)
}

/// `("eg", account, cid, subject, queue)`, `("se", account, to)` or `("si", account, from, to)`
fn traced_step<'py>(py: Python<'py>, step: &Step) -> PyResult<Bound<'py, PyAny>> {
    let bytes = |b: &[u8]| PyBytes::new(py, b);
    let tuple = match step {
        Step::Received { cid, account, subject, queue } => {
            ("eg", account, cid, bytes(subject), bytes(queue)).into_pyobject(py)?.into_any()
        }
        Step::Stream { account, to } => ("se", account, bytes(to)).into_pyobject(py)?.into_any(),
        Step::Service { account, from, to } => ("si", account, bytes(from), bytes(to)).into_pyobject(py)?.into_any(),
    };
    Ok(tuple)
}

pub fn to_python<'py>(py: Python<'py>, event: Event) -> PyResult<Bound<'py, PyAny>> {
    let bytes = |b: &[u8]| PyBytes::new(py, b);
    let tuple = match event {
        Event::Connect { cid, json, arrival } => {
            ("connect", cid, bytes(&json), arrival.map(|a| came_in(py, &a))).into_pyobject(py)?.into_any()
        }
        Event::Admitted { cid, account } => ("admitted", cid, account).into_pyobject(py)?.into_any(),
        Event::Arrived { cid, arrival } => ("arrived", cid, came_in(py, &arrival)).into_pyobject(py)?.into_any(),
        Event::Peer { cid, json } => ("peer", cid, bytes(&json)).into_pyobject(py)?.into_any(),
        Event::Info { cid, json } => ("info", cid, bytes(&json)).into_pyobject(py)?.into_any(),
        Event::Closed {
            cid,
            account,
            reason,
            detail,
            traffic,
            subs,
            sub_views,
            pending,
            opened_ns,
            last_in_ns,
            rtt_ns,
            stalls,
            about,
            arrival,
        } => {
            let arrival = arrival.map(|a| came_in(py, &a));
            let sub_views = sub_views.iter().map(|view| views::sub(py, view)).collect::<PyResult<Vec<_>>>()?;
            let last = (four(&traffic), stalls, subs, pending, opened_ns, last_in_ns, rtt_ns);
            ("closed", cid, account, reason.code(), &*detail, last, sub_views, bytes(&about), arrival)
                .into_pyobject(py)?
                .into_any()
        }
        Event::Deliver { tag, account, from, subject, reply, header_bytes, body } => {
            ("deliver", tag, account, from, bytes(&subject), bytes(&reply), header_bytes, bytes(&body))
                .into_pyobject(py)?
                .into_any()
        }
        Event::Traced { cid, account, destination, subject, mapped, header, bytes: size, gzip, steps, unnamed } => {
            let steps = steps.iter().map(|step| traced_step(py, step)).collect::<PyResult<Vec<_>>>()?;
            let subjects = (bytes(&destination), bytes(&subject), bytes(&mapped));
            ("traced", cid, account, subjects, bytes(&header), size, gzip, steps, unnamed).into_pyobject(py)?.into_any()
        }
        Event::Violation { cid, kind, subject, queue, sid } => {
            let kind = match kind {
                Violation::Publish => "publish",
                Violation::Reply => "reply",
                Violation::Subscribe => "subscribe",
            };
            ("violation", cid, kind, bytes(&subject), bytes(&queue), bytes(&sid)).into_pyobject(py)?.into_any()
        }
        Event::Spent { cid, sid, max } => ("spent", cid, bytes(&sid), max).into_pyobject(py)?.into_any(),
        Event::Served { account, outcome, timed, took_ns, responder } => {
            let status = match outcome {
                Outcome::Answered => 200,
                Outcome::NoReply => 400,
                Outcome::AskerGone => 408,
                Outcome::NoResponders => 503,
                Outcome::TimedOut => 504,
            };
            let responder = responder.map(|r| (r.cid, bytes(&r.about), r.rtt_ns));
            let asked = (bytes(&timed.requestor), timed.rtt_ns, bytes(&timed.header));
            ("served", account, bytes(&timed.results), status, asked, took_ns, responder).into_pyobject(py)?.into_any()
        }
        Event::Slow { cid, text } => ("slow", cid, &*text).into_pyobject(py)?.into_any(),
        Event::Trace { cid, heading, line, body } => {
            let arrow = match heading {
                Heading::In => "<<-",
                Heading::Out => "->>",
                Heading::Within => "<->",
            };
            ("trace", cid, arrow, bytes(&line), body.as_deref().map(bytes)).into_pyobject(py)?.into_any()
        }
    };
    Ok(tuple)
}

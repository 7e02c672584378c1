//! The core driven from Python, without a thread: for connections that Python keeps, and for simulations.

use std::sync::Arc;

use natsfleet_core::conn::Arrival;
use natsfleet_drive::{Fate, Manual};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::engine::{client_info, reason, ClientInfo, Decided, Limits};
use crate::imports::{self, Imports};
use crate::mappings::Mappings;
use crate::permit::Permit;
use crate::{events, views};

/// An engine whose connections are fed and emptied by calls, at the time that it is told.
#[pyclass]
pub struct ManualEngine {
    manual: Manual,
}

/// `(door, ip, port, nonce, at_ns)`
#[derive(FromPyObject)]
pub(crate) struct CameIn(u32, String, u16, Vec<u8>, u64);

impl From<CameIn> for Arrival {
    fn from(CameIn(door, ip, port, nonce, at_ns): CameIn) -> Self {
        Self { door, ip: ip.into(), port, nonce: nonce.into(), at_ns }
    }
}

#[pymethods]
impl ManualEngine {
    #[new]
    fn new(limits: Limits, seed: u64) -> Self {
        Self { manual: Manual::new(limits.into(), seed) }
    }

    /// The time that was last told.
    fn now_ns(&self) -> u64 {
        self.manual.now_ns()
    }

    /// When `tick` has something to do next.
    fn next_due_ns(&self) -> Option<u64> {
        self.manual.next_due_ns()
    }

    /// Lets time pass.
    fn tick(&mut self, now_ns: u64) {
        self.manual.tick(now_ns);
    }

    /// A client id for a connection that is going to be opened.
    fn next_cid(&mut self) -> u64 {
        self.manual.next_cid()
    }

    /// Takes a connection on and returns its client id.
    #[pyo3(signature = (decided, greeting, arrival=None))]
    fn open(&mut self, decided: Decided, greeting: &[u8], arrival: Option<CameIn>) -> u64 {
        let admission: natsfleet_core::conn::Admission = decided.into();
        let cid = admission.cid;
        self.manual.open(admission, arrival.map(Arrival::from), greeting);
        cid
    }

    /// Input of a connection. Returns `(fate, until_ns)`: "processed", "rests" until a time, "waits" for the answer to
    /// its CONNECT, or "gone".
    fn feed(&mut self, cid: u64, input: &[u8]) -> (&'static str, u64) {
        match self.manual.feed(cid, input) {
            Fate::Processed => ("processed", 0),
            Fate::Rests(until_ns) => ("rests", until_ns),
            Fate::Waits => ("waits", 0),
            Fate::Gone => ("gone", 0),
        }
    }

    /// Takes output of a connection, all or a part: `(bytes, ended)`.
    #[pyo3(signature = (cid, at_most=None))]
    fn take_output<'py>(&mut self, py: Python<'py>, cid: u64, at_most: Option<usize>) -> (Bound<'py, PyBytes>, bool) {
        let taken = self.manual.take_output(cid, at_most.unwrap_or(usize::MAX));
        (PyBytes::new(py, &taken.bytes), taken.ended)
    }

    /// Connections that have output or have ended.
    fn ready(&self) -> Vec<u64> {
        self.manual.ready()
    }

    /// The peer of a connection went away.
    #[pyo3(signature = (cid, code, detail=""))]
    fn lost(&mut self, cid: u64, code: u8, detail: &str) -> PyResult<()> {
        self.manual.lost(cid, reason(code)?, detail);
        Ok(())
    }

    /// Takes up to `max` events as tuples.
    fn events<'py>(&mut self, py: Python<'py>, max: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let events = self.manual.engine().events();
        std::iter::from_fn(|| events.pop()).take(max).map(|event| events::to_python(py, event)).collect()
    }

    /// How many events were dropped because nobody took them.
    fn dropped_events(&mut self) -> u64 {
        self.manual.engine().events().dropped()
    }

    /// Replaces the limits.
    fn configure(&mut self, limits: Limits) {
        self.manual.engine().set_settings(limits.into());
    }

    /// Makes an account known by its number, or replaces its mappings.
    #[pyo3(signature = (number, mappings=None))]
    fn install_account(&mut self, number: u32, mappings: Option<Py<Mappings>>) {
        self.manual.engine().install_account(number, mappings.map(|m| Arc::clone(&m.get().0)));
    }

    /// Goes on with a connection whose CONNECT was accepted.
    fn readmit(&mut self, decided: Decided) {
        self.manual.readmit(decided.into());
    }

    /// Closes a connection, with an `-ERR` first if `text` is given.
    #[pyo3(signature = (cid, code, text=None))]
    fn close(&mut self, cid: u64, code: u8, text: Option<&str>) -> PyResult<()> {
        self.manual.engine().close(cid, reason(code)?, text);
        self.manual.settle();
        Ok(())
    }

    /// Sends an INFO line to connections that want them.
    fn announce(&mut self, cids: Vec<u64>, info: &[u8]) {
        cids.into_iter().for_each(|cid| self.manual.engine().announce(cid, info));
        self.manual.settle();
    }

    /// Replaces what a connection may do; returns the subscriptions that were removed, for the log.
    fn set_permit(&mut self, cid: u64, permit: Option<Py<Permit>>) -> Vec<String> {
        let lost = self.manual.engine().set_permit(cid, permit.map(|p| Arc::clone(&p.get().0)));
        self.manual.settle();
        lost
    }

    /// Changes a connection's limits.
    fn set_limits(&mut self, cid: u64, payload_max: u64, subs_max: u32) {
        self.manual.engine().set_limits(cid, payload_max, subs_max);
        self.manual.engine().close_if_over_subs(cid);
        self.manual.settle();
    }

    /// Replaces the note about a connection.
    fn set_about(&mut self, cid: u64, about: Vec<u8>) {
        self.manual.engine().set_about(cid, about.into());
    }

    /// Replaces what services of other accounts may know about a connection.
    #[pyo3(signature = (cid, info))]
    fn set_client_info(&mut self, cid: u64, info: Option<ClientInfo>) {
        self.manual.engine().set_client_info(cid, client_info(info));
    }

    /// Replaces what accounts import, all at once.
    fn install_imports(&mut self, changes: Vec<(u32, Py<Imports>)>) {
        self.manual.engine().install_imports(imports::unwrapped(changes));
    }

    /// Asks for what is published on a subject; it arrives as `deliver` events with `tag`.
    #[pyo3(signature = (account, subject, tag, queue=None))]
    fn subscribe(&mut self, account: u32, subject: &[u8], tag: u64, queue: Option<&[u8]>) {
        self.manual.engine().subscribe_internal(account, subject, queue, tag);
    }

    /// Ends what `subscribe` asked for.
    fn unsubscribe(&mut self, tag: u64) {
        self.manual.engine().unsubscribe_internal(tag);
    }

    /// Publishes messages `(account, subject, reply, header_bytes, body)`.
    fn publish(&mut self, messages: Vec<(u32, Vec<u8>, Vec<u8>, usize, Vec<u8>)>) {
        let now_ns = self.manual.now_ns();
        for (account, subject, reply, header_bytes, body) in messages {
            self.manual.engine().publish_internal(account, &subject, &reply, header_bytes, &body, now_ns);
        }
        self.manual.settle();
    }

    /// Counters of the whole engine.
    fn totals<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let now_ns = self.manual.now_ns();
        views::totals(py, &self.manual.engine().totals(), now_ns)
    }

    /// Views of all connections, or of one.
    #[pyo3(signature = (cid=None))]
    fn connections<'py>(&mut self, py: Python<'py>, cid: Option<u64>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let engine = self.manual.engine();
        let found = match cid {
            Some(cid) => engine.conn_view(cid).into_iter().collect(),
            None => engine.conn_views(),
        };
        found.iter().map(|view| views::conn(py, view)).collect()
    }

    /// Views of all subscriptions of some connections.
    fn subscriptions<'py>(&mut self, py: Python<'py>, cids: Vec<u64>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.manual.engine().sub_views(&cids).iter().map(|view| views::sub(py, view)).collect()
    }

    /// How many subscriptions an account has (`None`: all), or those of them that a subject reaches, and a page of them.
    fn subscription_page<'py>(
        &mut self,
        py: Python<'py>,
        account: Option<u32>,
        test: Option<&[u8]>,
        offset: usize,
        limit: usize,
    ) -> PyResult<(usize, Vec<Bound<'py, PyAny>>)> {
        let (total, found) = self.manual.engine().sub_page(account, test, offset, limit);
        Ok((total, found.iter().map(|view| views::sub(py, view)).collect::<PyResult<_>>()?))
    }

    /// Views of all accounts that were installed, by number.
    fn accounts<'py>(&mut self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.manual.engine().account_views().iter().map(|view| views::account(py, view)).collect()
    }

    /// `(subject, asking account, reply, shared, latency)` of requests that may still be answered in an account.
    fn open_requests<'py>(&mut self, py: Python<'py>, account: u32, most: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let found = self.manual.engine().open_requests(account, most);
        found.iter().map(|request| views::open_request(py, request)).collect()
    }
}

//! The forwarding thread as a Python object.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use natsfleet_core::conn::{Admission, Carried, Kind, OpenRule, Wishes};
use natsfleet_core::engine::Settings;
use natsfleet_core::errors::CloseReason;
use natsfleet_core::ws::WsOptions;
use natsfleet_drive::{Door, Forwarder, Gone, Link, Run};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::imports::{self, Imports};
use crate::mappings::Mappings;
use crate::permit::Permit;
use crate::s2::S2Session;
use crate::tls::{handed_over, TlsSession};
use crate::{events, views};

/// Owns the sockets and subscriptions of admitted connections.
#[pyclass]
pub struct Engine {
    forwarder: Forwarder,
}

fn gone(_: Gone) -> PyErr {
    PyRuntimeError::new_err("the forwarding thread is gone")
}

pub(crate) fn reason(code: u8) -> PyResult<CloseReason> {
    CloseReason::from_code(code).ok_or_else(|| PyValueError::new_err(format!("no close reason has the number {code}")))
}

/// Limits for all connections, as keyword arguments from Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Limits {
    control_line_max: usize,
    pending_max: usize,
    pending_total_max: usize,
    write_deadline_ns: u64,
    write_deadline: String,
    write_retry: bool,
    ping_max: u32,
    sub_tokens_max: u32,
    trace: bool,
    trace_headers: bool,
    trace_body_max: usize,
    no_stall: bool,
    remember_routes: bool,
    report_details: bool,
    conns_max: u64,
    routes: bool,
}

impl From<Limits> for Settings {
    fn from(l: Limits) -> Self {
        Self {
            control_line_max: l.control_line_max,
            pending_max: l.pending_max,
            pending_total_max: l.pending_total_max,
            write_deadline_ns: l.write_deadline_ns,
            write_deadline: l.write_deadline.into(),
            write_retry: l.write_retry,
            ping_max: l.ping_max,
            sub_tokens_max: l.sub_tokens_max,
            trace: l.trace,
            trace_headers: l.trace_headers,
            trace_body_max: l.trace_body_max,
            no_stall: l.no_stall,
            remember_routes: l.remember_routes,
            report_details: l.report_details,
            conns_max: l.conns_max,
            routes: l.routes,
        }
    }
}

/// What the other end of a connection is, by name.
struct KindName(Kind);

impl<'py> FromPyObject<'_, 'py> for KindName {
    type Error = PyErr;

    fn extract(name: pyo3::Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let name = name.extract::<&str>()?;
        let kind = Kind::from_name(name);
        kind.map(Self).ok_or_else(|| PyValueError::new_err(format!("no kind of connection is called {name:?}")))
    }
}

/// What admission decided, as a mapping from Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Decided {
    cid: u64,
    account: u32,
    permit: Option<Py<Permit>>,
    verbose: bool,
    pedantic: bool,
    echo: bool,
    headers: bool,
    no_responders: bool,
    payload_max: u64,
    subs_max: u32,
    ping_interval_ns: u64,
    first_pong_info: Vec<u8>,
    about: Vec<u8>,
    client_info: Option<ClientInfo>,
    system: bool,
    kind: KindName,
    pool_slot: Option<u32>,
    one_account: bool,
    connect_within_ns: Option<u64>,
    silent_ok: bool,
    open_rule: Option<OpenRuleParts>,
}

/// `(before_account, after_account, after_rtt)`
pub(crate) type ClientInfo = (Vec<u8>, Vec<u8>, Vec<u8>);

pub(crate) fn client_info(parts: Option<ClientInfo>) -> Option<Arc<[Vec<u8>; 3]>> {
    parts.map(|(before_account, after_account, after_rtt)| Arc::new([before_account, after_account, after_rtt]))
}

/// `(info_before, info_after, about, headers)`
#[derive(FromPyObject)]
struct OpenRuleParts(Vec<u8>, Vec<u8>, Vec<u8>, bool);

impl From<OpenRuleParts> for OpenRule {
    fn from(parts: OpenRuleParts) -> Self {
        let OpenRuleParts(before, after, about, headers) = parts;
        Self { info: [before, after], about, headers }
    }
}

impl From<Decided> for Admission {
    fn from(d: Decided) -> Self {
        Self {
            cid: d.cid,
            account: d.account,
            permit: d.permit.map(|p| Arc::clone(&p.get().0)),
            wishes: Wishes {
                verbose: d.verbose,
                pedantic: d.pedantic,
                echo: d.echo,
                headers: d.headers,
                no_responders: d.no_responders,
            },
            payload_max: d.payload_max,
            subs_max: d.subs_max,
            ping_interval_ns: d.ping_interval_ns,
            first_pong_info: d.first_pong_info.into(),
            about: d.about.into(),
            client_info: client_info(d.client_info),
            system: d.system,
            kind: d.kind.0,
            carried: match (d.one_account, d.pool_slot) {
                (true, _) => Carried::Own,
                (false, Some(slot)) => Carried::Slot(slot),
                (false, None) => Carried::All,
            },
            connect_within_ns: d.connect_within_ns,
            silent_ok: d.silent_ok,
            open_rule: d.open_rule.map(|rule| Arc::new(rule.into())),
        }
    }
}

/// `(compress, masked_input, frame_bytes_max, fragment_compressed, message_bytes_max)`
#[derive(FromPyObject)]
struct Websocket(bool, bool, Option<usize>, bool, usize);

impl From<Websocket> for WsOptions {
    fn from(w: Websocket) -> Self {
        let Websocket(compress, masked_input, frame_bytes_max, fragment_compressed, message_bytes_max) = w;
        Self { compress, masked_input, frame_bytes_max, fragment_compressed, message_bytes_max }
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(limits: Limits, seed: u64, crew: usize) -> PyResult<Self> {
        Ok(Self { forwarder: Forwarder::start(limits.into(), seed, crew)? })
    }

    /// The descriptor that becomes readable when there are events.
    fn events_fd(&self) -> RawFd {
        self.forwarder.events_fd()
    }

    /// Takes up to `max` events as tuples.
    fn events<'py>(&self, py: Python<'py>, max: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.forwarder.events(max).into_iter().map(|event| events::to_python(py, event)).collect()
    }

    /// How many events were dropped because nobody took them.
    fn dropped_events(&self) -> u64 {
        self.forwarder.dropped_events()
    }

    /// Replaces the limits.
    fn configure(&self, limits: Limits) {
        let settings = limits.into();
        self.forwarder.tell(move |run| run.engine().set_settings(settings));
    }

    /// Makes an account known by its number, or replaces its mappings.
    #[pyo3(signature = (number, mappings=None))]
    fn install_account(&self, number: u32, mappings: Option<Py<Mappings>>) {
        let mappings = mappings.map(|m| Arc::clone(&m.get().0));
        self.forwarder.tell(move |run| run.engine().install_account(number, mappings));
    }

    /// Gives an account the name by which other servers know it, and its place in the pool of connections to them.
    #[pyo3(signature = (number, name, system, slot))]
    fn name_account(&self, number: u32, name: Vec<u8>, system: bool, slot: Option<u32>) {
        self.forwarder.tell(move |run| {
            run.engine().name_account(number, &name, system, slot);
        });
    }

    /// Forgets what another server told over this connection that it wants in an account.
    fn forget_interest(&self, cid: u64, account: Vec<u8>) {
        self.forwarder.tell(move |run| run.engine().forget_interest(cid, &account));
    }

    /// Sends a protocol line to another server.
    fn tell_peer(&self, cid: u64, line: Vec<u8>) {
        self.forwarder.tell(move |run| run.engine().tell_peer(cid, &line));
    }

    /// Goes on with the connection of another server whose INFO was read.
    fn proceed(&self, cid: u64) {
        self.forwarder.tell(move |run| {
            run.engine().proceed(cid);
            run.resume_cid(cid);
        });
    }

    /// Replaces what accounts import, all at once.
    fn install_imports(&self, changes: Vec<(u32, Py<Imports>)>) {
        let changes = imports::unwrapped(changes);
        self.forwarder.tell(move |run| run.engine().install_imports(changes));
    }

    /// Takes over a connected socket, of which `input` was read already. `greeting` is sent first.
    ///
    /// Sessions move out of `tls` and `s2`, with what waits in them.
    #[pyo3(signature = (fd, decided, greeting, input, websocket=None, tls=None, s2=None))]
    #[expect(clippy::too_many_arguments, reason = "arguments of Python")]
    fn adopt(
        &self,
        fd: RawFd,
        decided: Decided,
        greeting: Vec<u8>,
        input: Vec<u8>,
        websocket: Option<Websocket>,
        tls: Option<PyRefMut<'_, TlsSession>>,
        s2: Option<PyRefMut<'_, S2Session>>,
    ) -> PyResult<()> {
        // SAFETY: the caller gives the descriptor away and does not use it again.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let session = tls.map(|mut tls| tls.take().ok_or_else(handed_over)).transpose()?;
        let s2 = s2.map(|mut s2| s2.take()).transpose()?;
        let admission = decided.into();
        let link = Link::new(session, websocket.map(WsOptions::from), s2);
        self.forwarder.tell(move |run| run.adopt(fd, link, admission, &greeting, input));
        Ok(())
    }

    /// A client id for a connection that is going to be adopted.
    fn next_cid(&self) -> u64 {
        self.forwarder.next_cid()
    }

    /// Accepts connections from a listening socket: each is greeted with INFO, whose two halves go round the client id
    /// and the members after it, and held as `welcome` says until its CONNECT.
    fn open_door(&self, fd: RawFd, number: u32, welcome: Decided, info: (Vec<u8>, Vec<u8>), nonce: bool) {
        // SAFETY: the caller gives the descriptor away and does not use it again.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let rule = Door { number, welcome: welcome.into(), info: [info.0, info.1], nonce };
        self.forwarder.tell(move |run| {
            // Fails only when epoll is out of memory, and then the process is lost anyway.
            let _ = run.open_door(fd, rule);
        });
    }

    /// Changes how a door treats newcomers.
    fn change_door(&self, number: u32, welcome: Decided, info: (Vec<u8>, Vec<u8>), nonce: bool) {
        let rule = Door { number, welcome: welcome.into(), info: [info.0, info.1], nonce };
        self.forwarder.tell(move |run| run.change_door(&rule));
    }

    /// Accepts nobody any more.
    fn close_doors(&self) {
        self.forwarder.tell(|run| run.close_doors());
    }

    /// Goes on with a connection whose second CONNECT was accepted.
    fn readmit(&self, decided: Decided) {
        let admission: Admission = decided.into();
        self.forwarder.tell(move |run| {
            let (cid, now_ns) = (admission.cid, run.now_ns());
            run.engine().readmit(cid, admission, now_ns);
            run.resume_cid(cid);
        });
    }

    /// Closes a connection, with an `-ERR` first if `text` is given.
    #[pyo3(signature = (cid, code, text=None))]
    fn close(&self, cid: u64, code: u8, text: Option<String>) -> PyResult<()> {
        let reason = reason(code)?;
        self.forwarder.tell(move |run| run.engine().close(cid, reason, text.as_deref()));
        Ok(())
    }

    /// Sends an INFO line to connections that want them.
    fn announce(&self, cids: Vec<u64>, info: Vec<u8>) {
        self.forwarder.tell(move |run| cids.into_iter().for_each(|cid| run.engine().announce(cid, &info)));
    }

    /// Replaces what a connection may do; returns the subscriptions that were removed, for the log.
    fn set_permit(&self, py: Python<'_>, cid: u64, permit: Option<Py<Permit>>) -> PyResult<Vec<String>> {
        let permit = permit.map(|p| Arc::clone(&p.get().0));
        py.detach(|| self.forwarder.ask(move |run| run.engine().set_permit(cid, permit))).map_err(gone)
    }

    /// Changes a connection's limits.
    fn set_limits(&self, cid: u64, payload_max: u64, subs_max: u32) {
        self.forwarder.tell(move |run| {
            run.engine().set_limits(cid, payload_max, subs_max);
            run.engine().close_if_over_subs(cid);
        });
    }

    /// Replaces the note about a connection.
    fn set_about(&self, cid: u64, about: Vec<u8>) {
        self.forwarder.tell(move |run| run.engine().set_about(cid, about.into()));
    }

    /// Replaces what services of other accounts may know about a connection.
    #[pyo3(signature = (cid, info))]
    fn set_client_info(&self, cid: u64, info: Option<ClientInfo>) {
        let info = client_info(info);
        self.forwarder.tell(move |run| run.engine().set_client_info(cid, info));
    }

    /// Asks for what is published on a subject; it arrives as `deliver` events with `tag`.
    #[pyo3(signature = (account, subject, tag, queue=None))]
    fn subscribe(&self, account: u32, subject: Vec<u8>, tag: u64, queue: Option<Vec<u8>>) {
        self.forwarder.tell(move |run| {
            run.engine().subscribe_internal(account, &subject, queue.as_deref(), tag);
        });
    }

    /// Ends what `subscribe` asked for.
    fn unsubscribe(&self, tag: u64) {
        self.forwarder.tell(move |run| run.engine().unsubscribe_internal(tag));
    }

    /// Publishes messages `(account, subject, reply, header_bytes, body)`.
    fn publish(&self, messages: Vec<(u32, Vec<u8>, Vec<u8>, usize, Vec<u8>)>) {
        self.forwarder.tell(move |run| {
            for (account, subject, reply, header_bytes, body) in messages {
                let now_ns = run.now_ns();
                run.engine().publish_internal(account, &subject, &reply, header_bytes, &body, now_ns);
            }
        });
    }

    /// Counters of the whole engine.
    fn totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (totals, now_ns) =
            py.detach(|| self.forwarder.ask(|run| (run.engine().totals(), run.now_ns()))).map_err(gone)?;
        views::totals(py, &totals, now_ns)
    }

    /// Views of all connections, or of one.
    #[pyo3(signature = (cid=None))]
    fn connections<'py>(&self, py: Python<'py>, cid: Option<u64>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let found = py
            .detach(|| {
                self.forwarder.ask(move |run| match cid {
                    Some(cid) => run.engine().conn_view(cid).into_iter().collect(),
                    None => run.engine().conn_views(),
                })
            })
            .map_err(gone)?;
        found.iter().map(|view| views::conn(py, view)).collect()
    }

    /// Views of all connections to other servers of the cluster.
    fn routes<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let found = py.detach(|| self.forwarder.ask(|run| run.engine().route_views())).map_err(gone)?;
        found.iter().map(|view| views::conn(py, view)).collect()
    }

    /// For each of these connections the mode of its compression between servers, None without one.
    fn compressions(&self, py: Python<'_>, cids: Vec<u64>) -> PyResult<Vec<Option<&'static str>>> {
        let look = move |run: &mut Run| cids.iter().map(|&cid| run.compression(cid)).collect();
        py.detach(|| self.forwarder.ask(look)).map_err(gone)
    }

    /// For each of these connections the certificates that its peer showed, its own first.
    fn peer_certificates<'py>(&self, py: Python<'py>, cids: Vec<u64>) -> PyResult<Vec<Vec<Bound<'py, PyBytes>>>> {
        let look = move |run: &mut Run| cids.iter().map(|&cid| run.peer_certificates(cid)).collect::<Vec<_>>();
        let chains = py.detach(|| self.forwarder.ask(look)).map_err(gone)?;
        let python = |chain: &Vec<Vec<u8>>| chain.iter().map(|der| PyBytes::new(py, der)).collect();
        Ok(chains.iter().map(python).collect())
    }

    /// Views of all subscriptions of some connections.
    fn subscriptions<'py>(&self, py: Python<'py>, cids: Vec<u64>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let found = py.detach(|| self.forwarder.ask(move |run| run.engine().sub_views(&cids))).map_err(gone)?;
        found.iter().map(|view| views::sub(py, view)).collect()
    }

    /// How many subscriptions an account has (`None`: all), or those of them that a subject reaches, and a page of them.
    fn subscription_page<'py>(
        &self,
        py: Python<'py>,
        account: Option<u32>,
        test: Option<Vec<u8>>,
        offset: usize,
        limit: usize,
    ) -> PyResult<(usize, Vec<Bound<'py, PyAny>>)> {
        let page = move |run: &mut Run| run.engine().sub_page(account, test.as_deref(), offset, limit);
        let (total, found) = py.detach(|| self.forwarder.ask(page)).map_err(gone)?;
        Ok((total, found.iter().map(|view| views::sub(py, view)).collect::<PyResult<_>>()?))
    }

    /// Views of all accounts that were installed, by number.
    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let found = py.detach(|| self.forwarder.ask(|run| run.engine().account_views())).map_err(gone)?;
        found.iter().map(|view| views::account(py, view)).collect()
    }

    /// `(subject, asking account, reply, shared, latency)` of requests that may still be answered in an account.
    fn open_requests<'py>(&self, py: Python<'py>, account: u32, most: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let found =
            py.detach(|| self.forwarder.ask(move |run| run.engine().open_requests(account, most))).map_err(gone)?;
        found.iter().map(|request| views::open_request(py, request)).collect()
    }

    /// Ends the forwarding thread; every socket is closed.
    fn stop(&mut self, py: Python<'_>) {
        py.detach(|| self.forwarder.stop());
    }
}

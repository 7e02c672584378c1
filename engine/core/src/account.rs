//! An account: an isolated space of subjects.

use std::sync::Arc;

use crate::conn::Traffic;
use crate::fib::{Interest, Routes};
use crate::mapping::Mappings;

/// Most bytes that remembered routes of one account may take.
const ROUTES_BYTES_MAX: usize = 64 << 20;

/// The subjects of one account.
#[derive(Debug)]
pub struct Account {
    pub(crate) interest: Interest,
    pub(crate) routes: Routes,
    pub(crate) mappings: Option<Arc<Mappings>>,
    pub(crate) traffic: Traffic,
}

impl Account {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            interest: Interest::new(seed),
            routes: Routes::new(seed, ROUTES_BYTES_MAX),
            mappings: None,
            traffic: Traffic::default(),
        }
    }
}

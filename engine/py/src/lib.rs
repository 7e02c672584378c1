//! Python bindings of the engine: batches of values in and out, no decisions.
//!
//! Everything that may wait for the forwarding thread lets go of the interpreter first.
// Tuples are what crosses the edge; `services/shared/engine` gives their members names.
#![allow(clippy::type_complexity)]

mod engine;
mod events;
mod imports;
mod manual;
mod mappings;
mod permit;
mod process;
mod s2;
mod tls;
mod views;

use pyo3::prelude::*;

/// The native half of `services.shared.engine`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<engine::Engine>()?;
    module.add_class::<manual::ManualEngine>()?;
    module.add_class::<imports::Imports>()?;
    module.add_class::<mappings::Mappings>()?;
    module.add_class::<permit::Permit>()?;
    s2::register(module)?;
    tls::register(module)?;
    process::register(module)
}

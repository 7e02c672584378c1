//! Compiled subject mappings.

use std::sync::Arc;

use natsfleet_core::mapping::{DestinationSpec, MappingSpec, Mappings as CoreMappings};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

type Destination = (Vec<u8>, u8, Vec<u8>);

/// The subject mappings of one account, as they apply on a server of one cluster.
#[pyclass(frozen)]
pub struct Mappings(pub Arc<CoreMappings>);

#[pymethods]
impl Mappings {
    /// `specs` are sources with their destinations `(subject, weight, cluster)`.
    #[new]
    fn new(specs: Vec<(Vec<u8>, Vec<Destination>)>, cluster: Vec<u8>) -> PyResult<Self> {
        let specs: Vec<MappingSpec> = specs
            .into_iter()
            .map(|(source, destinations)| MappingSpec {
                source,
                destinations: destinations
                    .into_iter()
                    .map(|(subject, weight, cluster)| DestinationSpec { subject, weight, cluster })
                    .collect(),
            })
            .collect();
        let mappings =
            CoreMappings::compile(&specs, &cluster).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self(Arc::new(mappings)))
    }
}

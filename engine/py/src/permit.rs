//! Compiled permissions.

use std::sync::Arc;

use natsfleet_core::permit::{Permit as CorePermit, PermitSpec, ResponseSpec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// What a user may do, compiled once and shared by all its connections.
#[pyclass(frozen)]
pub struct Permit(pub Arc<CorePermit>);

#[pymethods]
impl Permit {
    #[new]
    #[pyo3(signature = (*, publish_allow, publish_deny, subscribe_allow, subscribe_deny, responses))]
    fn new(
        publish_allow: Option<Vec<Vec<u8>>>,
        publish_deny: Vec<Vec<u8>>,
        subscribe_allow: Option<Vec<Vec<u8>>>,
        subscribe_deny: Vec<Vec<u8>>,
        responses: Option<(i64, i64)>,
    ) -> PyResult<Self> {
        let responses = responses.map(|(max_msgs, expires_ns)| ResponseSpec { max_msgs, expires_ns });
        let spec = PermitSpec { publish_allow, publish_deny, subscribe_allow, subscribe_deny, responses };
        let permit = CorePermit::compile(&spec).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self(Arc::new(permit)))
    }

    /// May the user publish to the subject?
    fn can_publish(&self, subject: &[u8]) -> bool {
        self.0.can_publish(subject)
    }

    /// May the user subscribe to the subject, in the queue group if one is named?
    #[pyo3(signature = (subject, queue=None))]
    fn can_subscribe(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.0.can_subscribe(subject, queue)
    }
}

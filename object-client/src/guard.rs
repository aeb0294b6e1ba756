//! Somebody who decides, at the last moment, whether anything may be changed in the store: for a process that may have lost the right to act while it
//! stood still. Asked before every attempt, the ones that repeat included.

use std::fmt;
use std::sync::Arc;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// Says whether anything may be changed now, and why not.
#[derive(Clone)]
pub struct Guard(Arc<dyn Fn() -> Result<(), String> + Send + Sync>);

impl Guard {
    /// Asks this.
    pub fn new(decide: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "Guard"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match context.request().method() {
            "GET" | "HEAD" => Ok(()),
            _ => (self.0)().map_err(BoxError::from),
        }
    }
}

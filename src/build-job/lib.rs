//! What a build service and a compiling child process say to each other: request, report, errors,
//! and the pipe between them.
//!
//! Who asks for builds needs no compiler: [`child::compile`] runs one in a process of its own. The
//! program that has a compiler gives it to [`child::serve`].

pub mod child;
mod error;
pub mod metric;
mod misfit;
mod report;
mod request;
mod samples;
mod sealed;
mod task;

pub use error::{ChildFailure, CompileError, ModelError, Problem};
pub use misfit::Misfit;
pub use report::{Compiled, FloatCheck, LayerReport, MEASURE, PortReport, Progress, Report};
pub use request::{Options, Request, build_key, choices};
pub use samples::{Array, Samples, TestSet};
pub use sealed::{Facts, SamplesFacts, Sealed};
pub use task::{Task, squared_error};
pub use tinsmith_module::NUMERICS_VERSION;

//! ONNX in, module out.
//!
//! A build runs in stages: check the file, import it, compare with tract, rewrite, calibrate,
//! quantize, plan, write, verify, fit, measure. The module's bytes depend on the ONNX file, the
//! capability and the options only, see [`tinsmith_build_job::Request::build_key`]. Files of unknown
//! origin are compiled in a process of its own, with limits on memory and time:
//! [`tinsmith_build_job::child`].
//!
//! What is known of an operator is in one file of `operators`, what a device's code needs of it in
//! one file of each backend that takes it; passes, quantization, plan, verification and report speak
//! to the traits `Operator`, `Backend` and `Engine` only.

mod backend;
mod check;
mod compare;
mod data;
#[cfg(test)]
mod dump;
mod engine;
mod external;
mod fit;
mod golden;
mod import;
mod ir;
mod metric;
mod onnx;
#[cfg(test)]
mod onnxruntime;
mod operators;
mod oracle;
mod passes;
mod pipeline;
mod plan;
mod precision;
mod quantize;
mod report;
mod score;
#[cfg(test)]
mod testing;
mod verify;
mod write;

pub use external::embed;
pub use pipeline::compile;
pub use score::float_scores;

/// Version of the compiler; part of every build key.
pub const COMPILER_VERSION: &str = concat!("tinsmith ", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;

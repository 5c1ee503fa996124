//! The build service: the models that devices can be given, and the modules made of them.
//!
//! [`Zoo`] has the models, shipped and added. [`Builder`] gives the module of a model for a device,
//! from the cache or compiled in a child process, and wraps modules into packages. It runs on
//! threads of its own and knows neither CoAP nor the compiler.

mod builder;
mod cache;
mod card;
mod compile;
mod compiler;
mod error;
mod model;
mod shipped;
mod version;
mod zoo;

pub use builder::Builder;
pub use cache::{Build, Subject};
pub use card::{Card, CardError, Metric, Tensor};
pub use compiler::Compiler;
pub use error::ZooError;
pub use model::Model;
pub use version::compare;
pub use zoo::Zoo;

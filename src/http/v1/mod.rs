//! `/api/v1`, a file for each thing that is talked about.

pub(crate) mod audit;
pub(crate) mod builds;
pub(crate) mod credentials;
pub(crate) mod devices;
pub(crate) mod models;
mod outcome;
pub(crate) mod requests;
pub(crate) mod resources;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod store;
pub(crate) mod tokens;
mod upload;

pub(crate) use upload::FORM;

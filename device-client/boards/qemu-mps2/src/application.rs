//! What the firmware adds to the client: nothing.

pub(crate) use tinsmith_embassy::NoApplication as Application;

//! The role that a route asks for.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tinsmith_access::Role;

use crate::ApiError;
use crate::doors::Caller;

/// Lets through who has the role.
pub(crate) async fn gate(
    State(role): State<Role>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = request.extensions().get::<Caller>();
    let Some(caller) = caller else {
        return Err(ApiError::unauthorized("this needs a token"));
    };
    if caller.role < role {
        let (name, has) = (&caller.name, caller.role);
        let (method, path) = (request.method(), request.uri().path());
        tracing::info!(name, %has, %role, %method, path, "refused");
        return Err(ApiError::forbidden(name, has, role));
    }
    Ok(next.run(request).await)
}

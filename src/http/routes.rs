//! All routes: which role each asks for, what it is called in the audit log, and which bodies it
//! takes. The router is made from this list, so no route is without a role.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post, put};
use tinsmith_access::Role;
use tinsmith_server::ServerHandle;

use crate::audited::{Audited, Operation, audited};
use crate::body::{SAMPLE, SMALL, Turns, read_json, take_turn};
use crate::doors::Doors;
use crate::gate::gate;
use crate::v1::{
    audit, builds, credentials, devices, models, requests, resources, server, session, store,
    tokens,
};
use crate::{ApiError, App, health, journal, login, v1};

/// Samples that are run at once, on all devices.
const INFERENCES: usize = 16;
/// Models that are taken in at once.
const UPLOADS: usize = 2;

/// A path with a method.
struct Route {
    method: &'static str,
    path: &'static str,
    /// The least role; none: open to everybody.
    role: Option<Role>,
    /// If it changes something.
    operation: Option<Operation>,
    body: Body,
    handler: fn() -> MethodRouter<App>,
}

#[derive(Clone, Copy)]
enum Body {
    /// None, or a little JSON.
    Small,
    /// A sample for a device.
    Sample,
    /// The files of a model.
    Files,
}

impl Route {
    const fn new(
        method: &'static str,
        path: &'static str,
        role: Option<Role>,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        Route {
            method,
            path,
            role,
            operation: None,
            body: Body::Small,
            handler,
        }
    }

    /// It changes something; `details` are those members of the body that the audit log has.
    const fn changes(mut self, name: &'static str, details: &'static [&'static str]) -> Self {
        self.operation = Some(Operation { name, details });
        self
    }

    const fn takes(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

const OPEN: Option<Role> = None;
const VIEWER: Option<Role> = Some(Role::Viewer);
const OPERATOR: Option<Role> = Some(Role::Operator);
const ADMIN: Option<Role> = Some(Role::Admin);

macro_rules! route {
    ($method:ident $path:literal, $role:expr, $handler:path) => {
        Route::new(stringify!($method), $path, $role, || $method($handler))
    };
}

/// All of them. Running a sample changes nothing that lasts, and comes often: it is not in the audit
/// log. Nor is a link, but the session that it opens.
const ROUTES: &[Route] = &[
    route!(get "/healthz", OPEN, health::alive),
    route!(get "/readyz", OPEN, health::ready),
    route!(get "/login", OPEN, login::enter),
    route!(get "/metrics", VIEWER, journal::metrics),
    route!(get "/api/v1/server", VIEWER, server::show),
    route!(get "/api/v1/store/backup", ADMIN, store::backup).changes("store.backup", &[]),
    route!(get "/api/v1/devices", VIEWER, devices::list),
    route!(get "/api/v1/devices/{endpoint}", VIEWER, devices::show),
    route!(delete "/api/v1/devices/{endpoint}", OPERATOR, devices::delete)
        .changes("device.remove", &[]),
    route!(put "/api/v1/devices/{endpoint}/model", OPERATOR, devices::want)
        .changes("device.want", &["model", "version", "trial_s", "expect"]),
    route!(delete "/api/v1/devices/{endpoint}/model", OPERATOR, devices::forget)
        .changes("device.forget", &[]),
    route!(get "/api/v1/devices/{endpoint}/history", VIEWER, devices::history),
    route!(post "/api/v1/devices/{endpoint}/retry", OPERATOR, devices::retry)
        .changes("device.retry", &[]),
    route!(post "/api/v1/devices/{endpoint}/rollback", OPERATOR, devices::rollback)
        .changes("device.rollback", &[]),
    route!(post "/api/v1/devices/{endpoint}/infer", OPERATOR, devices::infer).takes(Body::Sample),
    route!(get "/api/v1/devices/{endpoint}/resources/{*path}", VIEWER, resources::read),
    route!(put "/api/v1/devices/{endpoint}/resources/{*path}", OPERATOR, resources::write)
        .changes("resource.write", &[]),
    route!(post "/api/v1/devices/{endpoint}/resources/{*path}", OPERATOR, resources::execute)
        .changes("resource.execute", &[]),
    route!(get "/api/v1/builds", VIEWER, builds::list),
    route!(delete "/api/v1/builds", OPERATOR, builds::remove_all).changes("build.remove-all", &[]),
    route!(delete "/api/v1/builds/{key}", OPERATOR, builds::remove).changes("build.remove", &[]),
    route!(get "/api/v1/requests/{id}", VIEWER, requests::show),
    route!(delete "/api/v1/requests/{id}", OPERATOR, requests::withdraw)
        .changes("request.withdraw", &[]),
    route!(get "/api/v1/models", VIEWER, models::list),
    route!(post "/api/v1/models", OPERATOR, models::add)
        .changes("model.add", &[])
        .takes(Body::Files),
    route!(get "/api/v1/models/{name}", VIEWER, models::show),
    route!(get "/api/v1/models/{name}/versions/{version}", VIEWER, models::show_version),
    route!(delete "/api/v1/models/{name}/versions/{version}", OPERATOR, models::remove)
        .changes("model.remove", &[]),
    route!(get "/api/v1/tokens", ADMIN, tokens::list),
    route!(post "/api/v1/tokens", ADMIN, tokens::make)
        .changes("token.make", &["name", "role", "expires_days"]),
    route!(delete "/api/v1/tokens/{name}", ADMIN, tokens::remove).changes("token.remove", &[]),
    route!(get "/api/v1/credentials", ADMIN, credentials::list),
    route!(post "/api/v1/credentials", ADMIN, credentials::add).changes(
        "credential.add",
        &["endpoints", "identity", "purpose", "raw_key", "certificate"],
    ),
    route!(delete "/api/v1/credentials/{identity}", ADMIN, credentials::remove)
        .changes("credential.remove", &[]),
    route!(get "/api/v1/audit", ADMIN, audit::list),
    route!(get "/api/v1/session", VIEWER, session::show),
    route!(delete "/api/v1/session", VIEWER, session::end).changes("session.end", &[]),
    route!(post "/api/v1/session/link", VIEWER, session::link),
];

/// All routes: method, path with `{...}` for what varies, and the least role that they ask for; none
/// if they are open to everybody.
pub fn routes() -> impl Iterator<Item = (String, &'static str, Option<Role>)> {
    let routes = ROUTES.iter();
    routes.map(|route| (route.method.to_ascii_uppercase(), route.path, route.role))
}

/// The router of all routes, without state.
pub(crate) fn router(doors: &Arc<Doors>, server: &ServerHandle) -> Router<App> {
    let (inferences, uploads) = (Turns::new(INFERENCES), Turns::new(UPLOADS));
    let mut router = Router::new();
    for route in ROUTES {
        let mut methods = (route.handler)();
        if let Some(operation) = route.operation {
            let audited_as = Audited {
                doors: doors.clone(),
                server: server.clone(),
                operation,
            };
            methods = methods.route_layer(from_fn_with_state(audited_as, audited));
        }
        methods = match route.body {
            Body::Small => methods.route_layer(from_fn_with_state(SMALL, read_json)),
            Body::Sample => methods
                .route_layer(from_fn_with_state(SAMPLE, read_json))
                .route_layer(from_fn_with_state(inferences.clone(), take_turn)),
            Body::Files => methods
                .route_layer(from_fn_with_state(uploads.clone(), take_turn))
                .route_layer(DefaultBodyLimit::max(v1::FORM)),
        };
        if let Some(role) = asked(route, doors) {
            methods = methods.route_layer(from_fn_with_state(role, gate));
        }
        router = router.route(route.path, methods);
    }
    router.fallback(|| async {
        ApiError::not_found("no such path; the API is described in docs/http-api.md")
    })
}

/// The least role that a route asks for.
fn asked(route: &Route, doors: &Doors) -> Option<Role> {
    let open = doors.open_metrics && route.path == METRICS;
    route.role.filter(|_| !open)
}

const METRICS: &str = "/metrics";

/// The paths that are open to everybody.
pub(crate) fn open(doors: &Doors) -> Arc<[&'static str]> {
    let open = ROUTES.iter().filter(|route| asked(route, doors).is_none());
    open.map(|route| route.path).collect()
}

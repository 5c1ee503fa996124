//! LwM2M Server (object 1).

use lwm2m_objects::Value;
use lwm2m_objects::ids::lwm2m_server as ids;
use lwm2m_objects::model::{ObjectModel, objects};
use tinsmith_coap::Code;

use crate::device::ACCOUNTS;
use crate::handler::{Done, Origin, Target};
use crate::object::{Context, Object, Values, View};
use crate::store::accounts::Server as Account;

pub(super) struct Server;

impl Object for Server {
    fn definition(&self) -> &'static ObjectModel {
        &objects::LWM2M_SERVER
    }

    fn instances(&self, view: &View<'_>, f: &mut dyn FnMut(u16)) {
        // In ascending order, whatever the order of the writes was.
        let servers = &view.device.accounts.server;
        let mut next = 0;
        while let Some(id) = servers
            .iter()
            .flatten()
            .map(|s| s.id)
            .filter(|id| *id >= next)
            .min()
        {
            f(id);
            let Some(after) = id.checked_add(1) else {
                return;
            };
            next = after;
        }
    }

    fn read(&self, view: &View<'_>, instance: u16, values: &mut Values<'_>) {
        let Some(s) = view.device.accounts.server(instance) else {
            return;
        };
        values.integer(ids::SHORT_SERVER_ID, i64::from(s.short_id));
        values.integer(ids::LIFETIME, i64::from(s.lifetime));
        values.integer(ids::DEFAULT_MINIMUM_PERIOD, i64::from(s.pmin));
        values.integer(ids::DEFAULT_MAXIMUM_PERIOD, i64::from(s.pmax));
        values.integer(ids::DISABLE_TIMEOUT, i64::from(s.disable_timeout));
        values.put(
            ids::NOTIFICATION_STORING_WHEN_DISABLED_OR_OFFLINE,
            Value::Boolean(s.store_notifications.is_yes()),
        );
        let binding = match s.binding.as_str() {
            "" => "U",
            binding => binding,
        };
        values.string(ids::BINDING, binding);
    }

    fn check(
        &self,
        context: &Context<'_, '_>,
        target: Target,
        value: Value<'_>,
    ) -> Result<(), Code> {
        own(context, target.instance)?;
        let taken = Account::new(0).set(target.resource, value);
        taken.ok_or(Code::BAD_REQUEST)
    }

    fn write(
        &self,
        context: &mut Context<'_, '_>,
        target: Target,
        value: Value<'_>,
    ) -> Result<Done, Code> {
        let device = &mut *context.device;
        let server = device.accounts.server_mut(target.instance);
        let server = server.ok_or(Code::NOT_FOUND)?;
        let set = server.set(target.resource, value);
        set.ok_or(Code::BAD_REQUEST)?;
        if matches!(target.resource, ids::LIFETIME | ids::BINDING) {
            device.wishes.update = Some(target.instance);
            device.wishes.binding |= target.resource == ids::BINDING;
        }
        device.storage.mark(ACCOUNTS);
        Ok(Done::Stored)
    }

    fn replace(&self, context: &mut Context<'_, '_>, instance: u16) {
        if let Some(server) = context.device.accounts.server_mut(instance) {
            let short_id = server.short_id;
            *server = Account {
                short_id,
                ..Account::new(instance)
            };
        }
    }

    fn execute(
        &self,
        context: &mut Context<'_, '_>,
        target: Target,
        _: &[u8],
    ) -> Result<Done, Code> {
        own(context, target.instance)?;
        match target.resource {
            ids::REGISTRATION_UPDATE_TRIGGER => {
                context.device.wishes.update = Some(target.instance);
            }
            ids::DISABLE => context.device.wishes.disable = Some(target.instance),
            ids::BOOTSTRAP_REQUEST_TRIGGER => context.device.wishes.bootstrap = true,
            _ => return Err(Code::METHOD_NOT_ALLOWED),
        }
        Ok(Done::Now)
    }

    fn offers(&self, view: &View<'_>, _: u16, resource: u16) -> bool {
        resource != ids::BOOTSTRAP_REQUEST_TRIGGER || view.device.has_bootstrap()
    }
}

/// Without Access Control objects, a server changes no account but its own.
fn own(context: &Context<'_, '_>, wanted: u16) -> Result<(), Code> {
    match context.origin {
        Origin::Server { instance, .. } if instance == wanted => Ok(()),
        _ => Err(Code::UNAUTHORIZED),
    }
}

//! Objects: what an application implements to bring its own. The client's own are entries of the
//! same table.
//!
//! The client and the application share an object by reference, so what changes lies in a
//! [`Cell`](core::cell::Cell) or the like. When a value changes by itself, the shell says so with
//! [`Input::Changed`](crate::Input::Changed), and observers are told.

use lwm2m_objects::model::ObjectModel;
use lwm2m_objects::{Path, Value};
use tinsmith_coap::Code;

use crate::device::Device;
use crate::handler::{Body, Done, Origin, Part, Target, Ticket};
use crate::platform::{Now, Platform};

/// Takes the values of an instance, in ascending order.
pub struct Values<'e> {
    emit: &'e mut dyn FnMut(u16, Option<u16>, Value<'_>),
}

impl<'e> Values<'e> {
    pub(crate) fn new(emit: &'e mut dyn FnMut(u16, Option<u16>, Value<'_>)) -> Self {
        Self { emit }
    }

    /// The value of a resource.
    pub fn put(&mut self, resource: u16, value: Value<'_>) {
        (self.emit)(resource, None, value);
    }

    /// The value of a resource that is text.
    pub fn string(&mut self, resource: u16, text: &str) {
        self.put(resource, Value::String(text));
    }

    /// The value of a resource that is bytes.
    pub fn opaque(&mut self, resource: u16, bytes: &[u8]) {
        self.put(resource, Value::Opaque(bytes));
    }

    /// The value of a resource that is an integer.
    pub fn integer(&mut self, resource: u16, number: i64) {
        self.put(resource, Value::Integer(number));
    }

    /// The value of a resource that is an unsigned integer.
    pub fn unsigned(&mut self, resource: u16, number: u64) {
        self.put(resource, Value::UnsignedInteger(number));
    }

    /// The value of an instance of a resource.
    pub fn put_instance(&mut self, resource: u16, instance: u16, value: Value<'_>) {
        (self.emit)(resource, Some(instance), value);
    }
}

/// What is known while values are read.
#[derive(Clone, Copy)]
pub struct View<'v> {
    /// The time.
    pub now: Now,
    pub(crate) device: &'v Device<'v>,
    pub(crate) platform: &'v dyn Platform,
}

impl View<'_> {
    /// Seconds since 1970-01-01 UTC, 0 if the device does not know them.
    pub fn wall(&self) -> i64 {
        self.device.wall(self.now)
    }
}

/// What is known while a request is handled.
pub struct Context<'c, 'a> {
    /// The time.
    pub now: Now,
    /// Who asks.
    pub origin: Origin,
    /// The board.
    pub platform: &'c mut dyn Platform,
    pub(crate) ticket: Ticket,
    pub(crate) device: &'c mut Device<'a>,
}

impl Context<'_, '_> {
    /// The name of this request, for a handler that answers [`Done::Later`].
    pub const fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// What is known while values are read.
    pub fn view(&self) -> View<'_> {
        View {
            now: self.now,
            device: self.device,
            platform: self.platform,
        }
    }
}

/// An object. Only the definition and what the definition allows need to be there; the rest is
/// answered with 4.05.
///
/// Before a handler is called, the client has checked path, operation, type and range with the
/// definition.
pub trait Object {
    /// Id, version and resources.
    fn definition(&self) -> &'static ObjectModel;

    /// Calls `f` with the id of each instance, ascending. By default there is instance 0.
    fn instances(&self, _view: &View<'_>, f: &mut dyn FnMut(u16)) {
        f(0);
    }

    /// Gives each readable resource of an instance that exists, by ascending id.
    ///
    /// It is run again for each block of a long answer and must give the same then; a change in
    /// between must be told ([`Input::Changed`](crate::Input::Changed)).
    fn read(&self, view: &View<'_>, instance: u16, values: &mut Values<'_>);

    /// A read of `path` has come; [`Done::Later`] puts it off until the values are there.
    ///
    /// # Errors
    /// The code of the answer.
    fn prepare(&self, _context: &mut Context<'_, '_>, _path: &Path) -> Result<Done, Code> {
        Ok(Done::Now)
    }

    /// How a resource takes what is written to it.
    ///
    /// # Errors
    /// The code of the answer.
    fn body(&self, _view: &View<'_>, _target: Target) -> Result<Body, Code> {
        Ok(Body::Value)
    }

    /// Would [`write`](Self::write) take this value? The instance may not have been created yet.
    /// A server that writes several resources at once is refused before any of them changes.
    ///
    /// # Errors
    /// The code of the answer.
    fn check(
        &self,
        _context: &Context<'_, '_>,
        _target: Target,
        _value: Value<'_>,
    ) -> Result<(), Code> {
        Ok(())
    }

    /// Takes a value. A server that writes several resources at once calls it for each of them,
    /// when all have been checked; what [`check`](Self::check) lets pass it has to take.
    ///
    /// # Errors
    /// The code of the answer.
    fn write(
        &self,
        _context: &mut Context<'_, '_>,
        _target: Target,
        _value: Value<'_>,
    ) -> Result<Done, Code> {
        Err(Code::METHOD_NOT_ALLOWED)
    }

    /// A server replaces an instance: all but what it is made with goes back to how it was when the
    /// instance was made; the values follow by [`write`](Self::write). By default nothing does.
    fn replace(&self, _context: &mut Context<'_, '_>, _instance: u16) {}

    /// Takes a part of a body, see [`Body`].
    ///
    /// # Errors
    /// The code of the answer; a stream begins anew.
    fn write_part(
        &self,
        _context: &mut Context<'_, '_>,
        _target: Target,
        _part: Part<'_>,
    ) -> Result<Done, Code> {
        Err(Code::METHOD_NOT_ALLOWED)
    }

    /// Executes a resource with its arguments (LwM2M TS 1.1 §6.3.5).
    ///
    /// # Errors
    /// The code of the answer.
    fn execute(
        &self,
        _context: &mut Context<'_, '_>,
        _target: Target,
        _arguments: &[u8],
    ) -> Result<Done, Code> {
        Err(Code::METHOD_NOT_ALLOWED)
    }

    /// Makes an instance, with this id if the server names one that is free; gives its id. Values
    /// follow by [`write`](Self::write); if one is refused, the instance is deleted again.
    ///
    /// # Errors
    /// The code of the answer.
    fn create(
        &self,
        _context: &mut Context<'_, '_>,
        _instance: Option<u16>,
    ) -> Result<(u16, Done), Code> {
        Err(Code::METHOD_NOT_ALLOWED)
    }

    /// Deletes an instance.
    ///
    /// # Errors
    /// The code of the answer.
    fn delete(&self, _context: &mut Context<'_, '_>, _instance: u16) -> Result<Done, Code> {
        Err(Code::METHOD_NOT_ALLOWED)
    }

    /// A resource that can't be read, as an action, is there: it is listed, and executed.
    fn offers(&self, _view: &View<'_>, _instance: u16, _resource: u16) -> bool {
        true
    }

    /// A change of what is at `path` is to be kept from observers for now.
    fn is_quiet(&self, _view: &View<'_>, _path: &Path) -> bool {
        false
    }

    /// The bootstrap server may write this object too. It does so at once, not with the Finish.
    fn takes_bootstrap(&self) -> bool {
        false
    }
}

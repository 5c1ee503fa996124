//! The objects, one file each, and the tree they make.
//!
//! Adding an object touches its file and [`OBJECTS`].

mod capability;
mod device;
mod firmware;
pub(crate) mod inference;
mod model;
mod server;

use core::fmt;

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::model::{ObjectModel, Version};
use lwm2m_objects::{Path, Records, Value};
use tinsmith_coap::Code;

use crate::client::Client;
use crate::link::Role;
use crate::platform::{Now, Platform};

/// Takes a resource (and, if it has several, its instance) with its value.
pub(crate) type Emit<'e> = dyn FnMut(u16, Option<u16>, Value<'_>) + 'e;

/// What a handler knows of the request.
pub(crate) struct Context<'p> {
    pub(crate) now: Now,
    pub(crate) platform: &'p mut dyn Platform,
    /// Who asks.
    pub(crate) origin: Role,
}

/// When a request is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is.
    Now,
    /// When everything is on flash.
    Stored,
}

/// Writes one resource; type, range and operation were checked with the definition.
type Write = fn(&mut Client<'_>, &mut Context<'_>, u16, u16, Value<'_>) -> Result<Done, Code>;

/// Executes one resource that the definition says can be executed, with its arguments.
type Execute = fn(&mut Client<'_>, &mut Context<'_>, u16, u16, &[u8]) -> Result<Done, Code>;

/// An object of the client. Handlers take the instance and the resource.
pub(crate) struct Object {
    pub(crate) id: u16,
    /// Calls with the id of each instance, ascending.
    pub(crate) instances: fn(&Tree<'_, '_>, &mut dyn FnMut(u16)),
    /// Calls with each readable resource of an instance that exists, ascending.
    pub(crate) read: fn(&Tree<'_, '_>, u16, &mut Emit<'_>),
    pub(crate) write: Write,
    pub(crate) execute: Execute,
}

/// Every object a management server may see, by id.
pub(crate) const OBJECTS: [Object; 8] = [
    server::OBJECT,
    device::OBJECT,
    firmware::OBJECT,
    capability::PLATFORM,
    capability::UNIT,
    capability::REGION,
    model::OBJECT,
    inference::OBJECT,
];

/// The object with an id, and its definition.
pub(crate) fn find(id: u16) -> Option<(&'static Object, &'static ObjectModel)> {
    let object = OBJECTS.iter().find(|o| o.id == id)?;
    Some((object, lwm2m_objects::model::object(id)?))
}

pub(crate) fn one_instance(_: &Tree<'_, '_>, f: &mut dyn FnMut(u16)) {
    f(0);
}

pub(crate) fn not_writable(
    _: &mut Client<'_>,
    _: &mut Context<'_>,
    _: u16,
    _: u16,
    _: Value<'_>,
) -> Result<Done, Code> {
    Err(Code::METHOD_NOT_ALLOWED)
}

pub(crate) fn not_executable(
    _: &mut Client<'_>,
    _: &mut Context<'_>,
    _: u16,
    _: u16,
    _: &[u8],
) -> Result<Done, Code> {
    Err(Code::METHOD_NOT_ALLOWED)
}

/// Everything that can be read, as it is now.
#[derive(Clone, Copy)]
pub(crate) struct Tree<'t, 'a> {
    pub(crate) client: &'t Client<'a>,
    pub(crate) platform: &'t dyn Platform,
    pub(crate) now: Now,
}

impl Tree<'_, '_> {
    pub(crate) fn has_instance(&self, object: &Object, id: u16) -> bool {
        let mut found = false;
        (object.instances)(self, &mut |i| found |= i == id);
        found
    }

    /// Wall time in seconds, 0 if it is not known.
    pub(crate) fn wall(&self) -> i64 {
        if self.now.wall == 0 && self.client.wall_offset == 0 {
            return 0;
        }
        self.now.wall.saturating_add(self.client.wall_offset)
    }

    /// Calls `f` with every readable value at or below `under`.
    pub(crate) fn visit(&self, under: &Path, f: &mut dyn FnMut(&Path, Value<'_>)) {
        for object in &OBJECTS {
            if under.object_id().is_some_and(|id| id != object.id) {
                continue;
            }
            let Some(definition) = lwm2m_objects::model::object(object.id) else {
                continue;
            };
            (object.instances)(self, &mut |instance| {
                if under.instance_id().is_some_and(|id| id != instance) {
                    return;
                }
                (object.read)(self, instance, &mut |resource, sub, value| {
                    let known = definition.resource(resource);
                    if known.is_none_or(|r| !r.operations().readable()) {
                        return;
                    }
                    let path = Path::resource(object.id, instance, resource);
                    let path = sub.and_then(|sub| path.child(sub)).unwrap_or(path);
                    if path.starts_with(under) {
                        f(&path, value);
                    }
                });
            });
        }
    }
}

/// The part of the tree at or below a path.
#[derive(Clone, Copy)]
pub(crate) struct Under<'t, 'a> {
    pub(crate) tree: Tree<'t, 'a>,
    pub(crate) path: Path,
}

impl Records for Under<'_, '_> {
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>)) {
        self.tree.visit(&self.path, f);
    }
}

/// Content formats that can be read and written, as the root link tells them.
const FORMATS: [ContentFormat; 6] = [
    ContentFormat::TEXT,
    ContentFormat::OPAQUE,
    ContentFormat::CBOR,
    ContentFormat::SENML_JSON,
    ContentFormat::SENML_CBOR,
    ContentFormat::TLV,
];

/// The payload of a Register (LwM2M TS 1.1 §6.2.1, RFC 6690).
pub(crate) fn write_links(client: &Client<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_str("</>;rt=\"oma.lwm2m\";ct=\"")?;
    for (i, format) in FORMATS.iter().enumerate() {
        let gap = if i > 0 { " " } else { "" };
        write!(out, "{gap}{}", format.0)?;
    }
    out.write_str("\"")?;
    let mut failed = Ok(());
    for object in &OBJECTS {
        let version = lwm2m_objects::model::object(object.id).map(ObjectModel::version);
        if let Some(version) = version.filter(|v| *v != Version::V1_0 && object.id != 1) {
            write!(out, ",</{}>;ver={version}", object.id)?;
        }
        instances(client, object, &mut |id| {
            failed = failed.and_then(|()| write!(out, ",</{}/{id}>", object.id));
        });
    }
    failed
}

/// The instances, without a platform: they depend on the accounts and the configuration only.
fn instances(client: &Client<'_>, object: &Object, f: &mut dyn FnMut(u16)) {
    struct Nothing;
    impl crate::flash::FlashRead for Nothing {
        fn read(&self, _: u32, _: u32) -> &[u8] {
            &[]
        }
    }
    impl Platform for Nothing {
        fn micros(&self) -> u64 {
            0
        }
        fn random(&mut self) -> u32 {
            0
        }
    }
    let tree = Tree {
        client,
        platform: &Nothing,
        now: Now::default(),
    };
    (object.instances)(&tree, f);
}

/// Discover (LwM2M TS 1.1 §6.3.2): links of an object, an instance or a resource.
pub(crate) fn write_discover(
    tree: &Tree<'_, '_>,
    path: &Path,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let Some((object, definition)) = path.object_id().and_then(find) else {
        return Ok(());
    };
    let mut failed = Ok(());
    let mut first = true;
    let mut link = |text: fmt::Arguments<'_>, failed: &mut fmt::Result| {
        if failed.is_ok() {
            let gap = if first { "" } else { "," };
            first = false;
            *failed = out.write_str(gap).and_then(|()| out.write_fmt(text));
        }
    };
    if path.depth() == 1 {
        match definition.version() {
            Version::V1_0 => link(format_args!("</{}>", object.id), &mut failed),
            v => link(format_args!("</{}>;ver={v}", object.id), &mut failed),
        }
    }
    (object.instances)(tree, &mut |instance| {
        if path.instance_id().is_some_and(|id| id != instance) {
            return;
        }
        if path.depth() <= 2 {
            link(format_args!("</{}/{instance}>", object.id), &mut failed);
        }
        for resource in definition.resources() {
            if path.resource_id().is_some_and(|id| id != resource.id()) {
                continue;
            }
            let (mut values, mut readable) = (0u32, false);
            (object.read)(tree, instance, &mut |id, sub, _| {
                if id == resource.id() {
                    readable = true;
                    values += u32::from(sub.is_some());
                }
            });
            if resource.operations().readable() && !readable {
                continue;
            }
            let at = Path::resource(object.id, instance, resource.id());
            let at = at.text();
            let at = at.as_str();
            if resource.multiple() && path.depth() > 1 {
                link(format_args!("<{at}>;dim={values}"), &mut failed);
            } else {
                link(format_args!("<{at}>"), &mut failed);
            }
        }
    });
    failed
}

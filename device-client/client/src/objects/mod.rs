//! The objects of a client: its own, one file each, and those of the application, in one table.
//!
//! Adding an object of our own touches its file and [`OWN`].

mod capability;
mod device;
mod firmware;
mod inference;
mod links;
mod model;
mod server;

use lwm2m_objects::model::ObjectModel;
use lwm2m_objects::{Path, Records, Value};

use crate::object::{Object, Values, View};
use crate::store::accounts::Accounts;

/// The objects that every client has.
const OWN: [&dyn Object; 8] = [
    &server::Server,
    &device::Device,
    &firmware::Firmware,
    &capability::Platform,
    &capability::Unit,
    &capability::Region,
    &model::Model,
    &inference::Inference,
];

/// Every object that a management server may see.
#[derive(Clone, Copy)]
pub(crate) struct Objects<'a> {
    application: &'a [&'a dyn Object],
}

impl<'a> Objects<'a> {
    pub(crate) const fn new(application: &'a [&'a dyn Object]) -> Self {
        Self { application }
    }

    fn all(self) -> impl Iterator<Item = &'a dyn Object> {
        OWN.into_iter().chain(self.application.iter().copied())
    }

    /// Each id once, none that the client keeps for itself.
    pub(crate) fn are_told_apart(self) -> bool {
        self.application.iter().all(|object| {
            let id = object.definition().id();
            let same = self.all().filter(|o| o.definition().id() == id);
            !Accounts::are_of(id) && id != u16::MAX && same.count() == 1
        })
    }

    /// The object with an id, and its definition.
    pub(crate) fn find(self, id: u16) -> Option<(&'a dyn Object, &'static ObjectModel)> {
        let object = self.all().find(|o| o.definition().id() == id)?;
        Some((object, object.definition()))
    }

    /// The objects by ascending id.
    pub(crate) fn ascending(self) -> impl Iterator<Item = (&'a dyn Object, &'static ObjectModel)> {
        let mut next = Some(0);
        core::iter::from_fn(move || {
            let from = next?;
            let ids = self.all().map(|o| o.definition().id());
            let id = ids.filter(|id| *id >= from).min()?;
            next = id.checked_add(1);
            self.find(id)
        })
    }
}

pub(crate) fn has_instance(object: &dyn Object, view: &View<'_>, id: u16) -> bool {
    let mut found = false;
    object.instances(view, &mut |i| found |= i == id);
    found
}

/// The objects, and what they are read from.
#[derive(Clone, Copy)]
pub(crate) struct Tree<'v> {
    pub(crate) objects: Objects<'v>,
    pub(crate) view: View<'v>,
}

impl<'v> Tree<'v> {
    /// The part of it at or below a path.
    pub(crate) const fn under(self, path: Path) -> Under<'v> {
        Under { tree: self, path }
    }
}

/// The part of a tree at or below a path.
#[derive(Clone, Copy)]
pub(crate) struct Under<'v> {
    tree: Tree<'v>,
    path: Path,
}

impl Records for Under<'_> {
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>)) {
        let Self { tree, path: under } = self;
        let view = &tree.view;
        for (object, definition) in tree.objects.ascending() {
            if under.object_id().is_some_and(|id| id != definition.id()) {
                continue;
            }
            object.instances(view, &mut |instance| {
                if under.instance_id().is_some_and(|id| id != instance) {
                    return;
                }
                let mut emit = |resource: u16, sub: Option<u16>, value: Value<'_>| {
                    let known = definition.resource(resource);
                    if known.is_none_or(|r| !r.operations().readable()) {
                        return;
                    }
                    let path = Path::resource(definition.id(), instance, resource);
                    let path = sub.and_then(|sub| path.child(sub)).unwrap_or(path);
                    if path.starts_with(under) {
                        f(&path, value);
                    }
                };
                object.read(view, instance, &mut Values::new(&mut emit));
            });
        }
    }
}

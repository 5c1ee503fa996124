//! What there is, in CoRE link format: the payload of a Register, and Discover.

use lwm2m_objects::format::link::LinkWriter;
use lwm2m_objects::model::Version;
use lwm2m_objects::{Codec, Path, Sink, ids};

use super::Tree;
use crate::object::Values;

impl Tree<'_> {
    /// The payload of a Register (LwM2M TS 1.1 §6.2.1, RFC 6690).
    pub(crate) fn write_links(&self, sink: &mut dyn Sink) {
        let mut links = LinkWriter::new(sink);
        links.root(self.view.device.config.formats.iter().map(Codec::format));
        for (object, definition) in self.objects.ascending() {
            let (id, version) = (definition.id(), definition.version());
            let mut any = version != Version::V1_0 && id != ids::LWM2M_SERVER;
            if any {
                links.link(&Path::object(id)).version(version);
            }
            object.instances(&self.view, &mut |instance| {
                any = true;
                links.link(&Path::instance(id, instance));
            });
            if !any {
                links.link(&Path::object(id));
            }
        }
    }

    /// Discover (LwM2M TS 1.1 §6.3.2): links of an object, an instance or a resource.
    pub(crate) fn write_discover(&self, path: &Path, sink: &mut dyn Sink) {
        let object = path.object_id().and_then(|id| self.objects.find(id));
        let Some((object, definition)) = object else {
            return;
        };
        let id = definition.id();
        let mut links = LinkWriter::new(sink);
        if path.depth() == 1 {
            links.link(path).version(definition.version());
        }
        object.instances(&self.view, &mut |instance| {
            if path.instance_id().is_some_and(|id| id != instance) {
                return;
            }
            if path.depth() <= 2 {
                links.link(&Path::instance(id, instance));
            }
            for resource in definition.resources() {
                if path.resource_id().is_some_and(|id| id != resource.id()) {
                    continue;
                }
                let (mut values, mut readable) = (0, false);
                let mut count = |id: u16, sub: Option<u16>, _: lwm2m_objects::Value<'_>| {
                    if id == resource.id() {
                        readable = true;
                        values += u64::from(sub.is_some());
                    }
                };
                object.read(&self.view, instance, &mut Values::new(&mut count));
                if resource.operations().readable() && !readable {
                    continue;
                }
                links.link(&Path::resource(id, instance, resource.id()));
                if resource.multiple() && path.depth() > 1 {
                    links.number("dim", values);
                }
            }
        });
    }
}

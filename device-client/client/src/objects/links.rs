//! What there is, in CoRE link format: the payload of a Register, and Discover.

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::format::link::LinkWriter;
use lwm2m_objects::model::{ResourceModel, Version};
use lwm2m_objects::{Codec, Path, Records as _, Sink, ids};

use super::Tree;
use crate::object::Object;

impl Tree<'_> {
    /// The one that a Register names: some servers refuse a list, and all know what a client must
    /// have.
    fn preferred_format(&self) -> ContentFormat {
        let formats = self.view.device.config.formats.iter().map(Codec::format);
        let many = |format: &ContentFormat| !format.is_single_value();
        let mut formats = formats.filter(many);
        let first = formats.clone().next().unwrap_or(ContentFormat::TLV);
        formats
            .find(|format| *format == ContentFormat::SENML_CBOR)
            .unwrap_or(first)
    }

    /// The payload of a Register (LwM2M TS 1.1 §6.2.1, RFC 6690).
    pub(crate) fn write_links(&self, sink: &mut dyn Sink) {
        let mut links = LinkWriter::new(sink);
        links.root(core::iter::once(self.preferred_format()));
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
                let here = Path::resource(id, instance, resource.id());
                let Some(values) = self.values_of(object, &here, resource) else {
                    continue;
                };
                links.link(&here);
                if resource.multiple() && path.depth() > 1 {
                    links.number("dim", values);
                }
                if path.depth() == 3 {
                    self.under(here).visit(&mut |path, _| {
                        if path.depth() == 4 {
                            links.link(path);
                        }
                    });
                }
            }
        });
    }

    /// How many instances a resource has, where it may have several; none if it is not there.
    pub(crate) fn values_of(
        &self,
        object: &dyn Object,
        path: &Path,
        resource: &ResourceModel,
    ) -> Option<u64> {
        let (mut values, mut found) = (0, false);
        self.under(*path).visit(&mut |path, _| {
            found = true;
            values += u64::from(path.depth() == 4);
        });
        if !resource.operations().readable() {
            let instance = path.instance_id().unwrap_or_default();
            found = object.offers(&self.view, instance, resource.id());
        }
        found.then_some(values)
    }
}

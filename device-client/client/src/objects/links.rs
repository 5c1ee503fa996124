//! What there is, in CoRE link format: the payload of a Register, and Discover.

use core::fmt;

use lwm2m_objects::Path;
use lwm2m_objects::ids;
use lwm2m_objects::model::Version;

use crate::object::{Values, View};

/// The payload of a Register (LwM2M TS 1.1 §6.2.1, RFC 6690).
pub(crate) fn write_links(view: &View<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_str("</>;rt=\"oma.lwm2m\";ct=\"")?;
    for (i, format) in view.device.config.formats.iter().enumerate() {
        let gap = if i > 0 { " " } else { "" };
        write!(out, "{gap}{}", format.format().0)?;
    }
    out.write_str("\"")?;
    for (object, definition) in view.device.objects().ascending() {
        let (id, version) = (definition.id(), definition.version());
        let mut any = version != Version::V1_0 && id != ids::LWM2M_SERVER;
        if any {
            write!(out, ",</{id}>;ver={version}")?;
        }
        let mut written = Ok(());
        object.instances(view, &mut |instance| {
            any = true;
            if written.is_ok() {
                written = write!(out, ",</{id}/{instance}>");
            }
        });
        written?;
        if !any {
            write!(out, ",</{id}>")?;
        }
    }
    Ok(())
}

/// Discover (LwM2M TS 1.1 §6.3.2): links of an object, an instance or a resource.
pub(crate) fn write_discover(
    view: &View<'_>,
    path: &Path,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let objects = view.device.objects();
    let Some((object, definition)) = path.object_id().and_then(|id| objects.find(id)) else {
        return Ok(());
    };
    let id = definition.id();
    let mut failed = Ok(());
    let mut first = true;
    let mut link = |text: fmt::Arguments<'_>| {
        if failed.is_ok() {
            let gap = if first { "" } else { "," };
            first = false;
            failed = out.write_str(gap).and_then(|()| out.write_fmt(text));
        }
    };
    if path.depth() == 1 {
        match definition.version() {
            Version::V1_0 => link(format_args!("</{id}>")),
            v => link(format_args!("</{id}>;ver={v}")),
        }
    }
    object.instances(view, &mut |instance| {
        if path.instance_id().is_some_and(|id| id != instance) {
            return;
        }
        if path.depth() <= 2 {
            link(format_args!("</{id}/{instance}>"));
        }
        for resource in definition.resources() {
            if path.resource_id().is_some_and(|id| id != resource.id()) {
                continue;
            }
            let (mut values, mut readable) = (0u32, false);
            let mut count = |id: u16, sub: Option<u16>, _: lwm2m_objects::Value<'_>| {
                if id == resource.id() {
                    readable = true;
                    values += u32::from(sub.is_some());
                }
            };
            object.read(view, instance, &mut Values::new(&mut count));
            if resource.operations().readable() && !readable {
                continue;
            }
            let at = Path::resource(id, instance, resource.id()).text();
            let at = at.as_str();
            if resource.multiple() && path.depth() > 1 {
                link(format_args!("<{at}>;dim={values}"));
            } else {
                link(format_args!("<{at}>"));
            }
        }
    });
    failed
}

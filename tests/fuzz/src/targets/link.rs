//! A Register's payload, or the answer to a Discover.

use lwm2m_objects::format::link;

pub(crate) fn run(data: &[u8]) {
    if let Ok(links) = link::links(data) {
        for link in links.map_while(Result::ok) {
            let _ = link.path();
            let _ = link.path_under("/lwm2m");
            let _ = link.version();
            let _ = link.attribute("rt");
            let _ = link.content_formats().count();
            let _ = link.is_lwm2m_root();
        }
    }
    if let Ok(registration) = link::registration(data) {
        let _ = registration.root();
        let _ = registration.content_formats().count();
        let _ = registration.objects().count();
    }
}

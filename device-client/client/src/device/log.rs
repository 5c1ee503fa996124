//! What the client tells its shell, and how often what it shows has changed.

use crate::event::Event;

/// Events that wait to be taken; the oldest gives way.
const EVENTS: usize = 16;

pub(crate) struct Log {
    /// The oldest first.
    events: [Option<Event>; EVENTS],
    /// Counts changes of which it is not known what they are of.
    pub(crate) changes: u32,
    /// Counts changes at paths that were named.
    pub(crate) named: u32,
    /// Counts changes of what a Register lists.
    pub(crate) instances: u32,
}

impl Log {
    pub(crate) const fn new() -> Self {
        Self {
            events: [None; EVENTS],
            changes: 0,
            named: 0,
            instances: 0,
        }
    }

    /// Something readable has changed.
    pub(crate) fn changed(&mut self) {
        self.changes = self.changes.wrapping_add(1);
    }

    /// An object has another set of instances.
    pub(crate) fn instances_changed(&mut self) {
        self.instances = self.instances.wrapping_add(1);
    }

    pub(crate) fn event(&mut self, event: Event) {
        let free = self.events.iter().position(Option::is_none);
        let free = free.unwrap_or_else(|| {
            self.take();
            EVENTS - 1
        });
        self.events[free] = Some(event);
    }

    pub(crate) fn take(&mut self) -> Option<Event> {
        let event = self.events[0].take();
        for i in 1..EVENTS {
            self.events.swap(i - 1, i);
        }
        event
    }
}

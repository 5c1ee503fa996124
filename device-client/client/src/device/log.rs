//! What the client tells its shell, and how often what it shows has changed.

use crate::event::Event;

/// Events that wait to be taken; the oldest gives way.
const EVENTS: usize = 16;

pub(crate) struct Log {
    /// A ring.
    events: [Option<Event>; EVENTS],
    /// Place of the oldest event.
    first: u8,
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
            first: 0,
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
        let first = usize::from(self.first);
        let mut places = (0..EVENTS).map(|i| (first + i) % EVENTS);
        let free = places.find(|place| self.events[*place].is_none());
        let place = free.unwrap_or_else(|| {
            self.first = (first + 1) as u8 % EVENTS as u8;
            first
        });
        self.events[place] = Some(event);
    }

    pub(crate) fn take(&mut self) -> Option<Event> {
        let oldest = usize::from(self.first);
        let event = self.events.get_mut(oldest)?.take()?;
        self.first = (oldest + 1) as u8 % EVENTS as u8;
        Some(event)
    }
}

//! Accounts: one instance of LwM2M Server (1).

use lwm2m_objects::Value;
use lwm2m_objects::ids::lwm2m_server as ids;

use crate::text::Text;
use crate::zero::Flag;

/// The last resource that LwM2M 1.2 has.
const LAST: u16 = 26;

/// One instance of object 1 (LwM2M TS 1.1 §E.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) id: u16,
    pub(crate) short_id: u16,
    /// Seconds.
    pub(crate) lifetime: u32,
    /// Default Minimum Period, seconds.
    pub(crate) pmin: u32,
    /// Default Maximum Period, seconds; 0: none.
    pub(crate) pmax: u32,
    /// Seconds.
    pub(crate) disable_timeout: u32,
    pub(crate) store_notifications: Flag,
    pub(crate) binding: Text<8>,
}

impl Server {
    pub(crate) const fn new(id: u16) -> Self {
        Self {
            id,
            short_id: 0,
            lifetime: 86_400,
            pmin: 0,
            pmax: 0,
            disable_timeout: 86_400,
            store_notifications: Flag::No,
            binding: Text::EMPTY,
        }
    }

    /// Takes a value; none if the resource is not there or does not take it.
    pub(crate) fn set(&mut self, resource: u16, value: Value<'_>) -> Option<()> {
        let seconds = |v: Value<'_>| u32::try_from(v.as_i64()?).ok();
        match resource {
            ids::SHORT_SERVER_ID => {
                self.short_id = u16::try_from(value.as_i64()?).ok().filter(|s| *s > 0)?;
            }
            ids::LIFETIME => self.lifetime = seconds(value)?.max(1),
            ids::DEFAULT_MINIMUM_PERIOD => self.pmin = seconds(value)?,
            ids::DEFAULT_MAXIMUM_PERIOD => self.pmax = seconds(value)?,
            ids::DISABLE_TIMEOUT => self.disable_timeout = seconds(value)?,
            ids::NOTIFICATION_STORING_WHEN_DISABLED_OR_OFFLINE => {
                self.store_notifications = value.as_bool()?.into();
            }
            ids::BINDING => {
                let text = value.as_str().filter(|t| t.as_bytes().contains(&b'U'))?;
                self.binding.set(text)?;
            }
            // Priorities, retry timers, preferred transport: accepted, without a use yet.
            ids::APN_LINK..=LAST => {}
            _ => return None,
        }
        Some(())
    }
}

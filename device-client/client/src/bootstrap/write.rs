//! Bootstrap-Write of the accounts.

use lwm2m_objects::format::{ContentFormat, codec};
use lwm2m_objects::model::{Subset, objects};
use lwm2m_objects::{Path, Value};
use tinsmith_coap::Code;

use crate::handler::Done;
use crate::manage::write::format_code;
use crate::object::Context;
use crate::store::accounts::{AccountError, Accounts};

/// Takes all values of a payload, or none: first all are checked.
pub(super) fn write_accounts(
    staged: &mut Accounts,
    context: &Context<'_, '_>,
    path: &Path,
    format: ContentFormat,
    payload: &[u8],
) -> Result<Done, Code> {
    Write::new(staged, path, false).all(context, path, format, payload)?;
    take_all(staged, context, path, format, payload)
}

// Its frame, with an account, is there for no check.
#[inline(never)]
fn take_all(
    staged: &mut Accounts,
    context: &Context<'_, '_>,
    path: &Path,
    format: ContentFormat,
    payload: &[u8],
) -> Result<Done, Code> {
    let old = staged.bootstrap().copied();
    Write::new(staged, path, true).all(context, path, format, payload)?;
    staged.keep_bootstrap_account(old.as_ref());
    Ok(Done::Now)
}

/// One look at the values of a Bootstrap-Write.
struct Write<'s> {
    staged: &'s mut Accounts,
    /// Instances are made anew.
    makes: bool,
    /// Those that were.
    made: [Option<u16>; 4],
    /// The values are taken, not only checked.
    apply: bool,
}

impl<'s> Write<'s> {
    fn new(staged: &'s mut Accounts, path: &Path, apply: bool) -> Self {
        Self {
            staged,
            makes: path.depth() <= 2,
            made: [None; 4],
            apply,
        }
    }

    // One for both looks.
    #[inline(never)]
    fn all(
        &mut self,
        context: &Context<'_, '_>,
        path: &Path,
        format: ContentFormat,
        payload: &[u8],
    ) -> Result<(), Code> {
        if path.depth() == 2 && self.make(path).is_err() {
            return Err(Code::BAD_REQUEST);
        }
        self.decode(context, path, format, payload)
    }

    fn decode(
        &mut self,
        context: &Context<'_, '_>,
        path: &Path,
        format: ContentFormat,
        payload: &[u8],
    ) -> Result<(), Code> {
        let scratch = context.device.scratch.try_borrow_mut();
        let mut scratch = scratch.map_err(|_| Code::INTERNAL_SERVER_ERROR)?;
        let models = Subset(&[
            &objects::LWM2M_SECURITY,
            &objects::LWM2M_SERVER,
            #[cfg(feature = "oscore")]
            &objects::LWM2M_OSCORE,
        ]);
        let mut refused = Ok(());
        let mut visit = |record: lwm2m_objects::Record<'_>| {
            if refused.is_ok() {
                refused = self.take(&record.path, record.value);
            }
            Ok(())
        };
        let decoded = codec(context.device.config.formats, format)
            .and_then(|codec| codec.decode(path, payload, &models, &mut scratch[..], &mut visit));
        decoded.map_err(format_code)?;
        refused.map_err(|_| Code::BAD_REQUEST)
    }

    fn take(&mut self, path: &Path, value: Value<'_>) -> Result<(), AccountError> {
        let (Some(object), Some(id)) = (path.object_id(), path.instance_id()) else {
            return Err(AccountError::Value);
        };
        if self.makes {
            self.make(path)?;
        } else if !self.staged.has(object, id) {
            return Err(AccountError::Value);
        }
        match self.apply {
            true => self.staged.set(path, value),
            false => Accounts::check(path, value),
        }
    }

    /// The instance as if it had never been written, once.
    fn make(&mut self, path: &Path) -> Result<(), AccountError> {
        let (Some(object), Some(id)) = (path.object_id(), path.instance_id()) else {
            return Err(AccountError::Value);
        };
        if self.made.contains(&Some(id)) {
            return Ok(());
        }
        if !self.staged.may_create(object, id, &self.made) {
            return Err(AccountError::Full);
        }
        let free = self.made.iter_mut().find(|made| made.is_none());
        *free.ok_or(AccountError::Full)? = Some(id);
        match self.apply {
            true => self.staged.create(object, id),
            false => Ok(()),
        }
    }
}

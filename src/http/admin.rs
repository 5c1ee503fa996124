//! The first token: nobody has to read a manual to get in.

use std::io::{self, ErrorKind};
use std::path::Path;

use tinsmith_access::{Audit, Entry, Named, Outcome, Role, Secret, TokenError, Tokens, Who};
use tinsmith_lwm2m::Now;
use tinsmith_store::{StoreError, private};

use crate::Doors;

/// Where in the store's folder the secret of the first token is.
pub const FILE: &str = "admin-token";
/// Its name.
const NAME: &str = "admin";

/// Why there is no first token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The file can't be read or written.
    #[error("cannot keep the admin token in {FILE}: {0}")]
    File(#[from] io::Error),
    /// The file has something else.
    #[error("{FILE} has no token; remove it, and another one is made")]
    NoToken,
    /// It can't be made.
    #[error("cannot make an admin token: {0}")]
    Token(#[from] TokenError),
    /// It can't be written down that it is made.
    #[error("cannot write the audit log: {0}")]
    Audit(#[from] StoreError),
}

impl Doors {
    /// Makes sure that there is an admin token. If there is none, one is made of the secret in the
    /// file [`FILE`] of `folder`, or of random bytes, and its secret is in that file. `now` is wall
    /// time (ms). True if one was made.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn ensure_admin(
        &self,
        now: u64,
        folder: &Path,
        random: &[u8; 32],
    ) -> Result<bool, AdminError> {
        if self.tokens.has_admin(now) {
            return Ok(false);
        }
        let path = folder.join(FILE);
        let secret = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| AdminError::NoToken)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Secret::new(random),
            Err(error) => return Err(error.into()),
        };
        // The file first: a token whose secret is nowhere would keep everybody out.
        private::write(&path, format!("{}\n", secret.reveal()).as_bytes())?;
        let name = free_name(&self.tokens);
        make(&self.tokens, &self.audit, now, &secret, admin(name)).await?;
        Ok(true)
    }

    /// A link that lets a browser in once, as who can read the store's folder; none if its file has
    /// no secret of a token.
    pub fn link_of_folder(&self, now: Now, folder: &Path, random: &[u8; 32]) -> Option<String> {
        let text = std::fs::read_to_string(folder.join(FILE)).ok()?;
        let (digest, _) = self.tokens.open_with(now.wall, text.trim())?;
        Some(self.link(now.mono, digest, random))
    }
}

fn admin(name: String) -> Named {
    let (role, expires) = (Role::Admin, None);
    Named {
        name,
        role,
        expires,
    }
}

/// One that no token has, expired or not.
fn free_name(tokens: &Tokens) -> String {
    let all = tokens.list();
    let taken = |name: &String| all.iter().any(|token| token.name == *name);
    let numbered = (2..).map(|number| format!("{NAME}-{number}"));
    let mut names = std::iter::once(NAME.to_owned()).chain(numbered);
    names.find(|name| !taken(name)).unwrap_or_default()
}

/// Makes a token for who has the store's folder, and writes that down.
///
/// # Errors
/// The audit log or the token can't be written.
pub async fn make(
    tokens: &Tokens,
    audit: &Audit,
    now: u64,
    secret: &Secret,
    named: Named,
) -> Result<(), AdminError> {
    let pairs = [
        ("name", named.name.clone()),
        ("role", named.role.to_string()),
    ];
    let mut entry = Entry {
        at: now,
        who: Who::server(),
        from: String::new(),
        operation: "token.make".to_owned(),
        target: String::new(),
        detail: pairs.map(|(name, value)| (name.to_owned(), value)).into(),
        outcome: None,
    };
    let number = audit.begin(&entry).await?;
    let made = tokens.make(now, secret, named).await;
    let answer = made
        .as_ref()
        .map_or_else(TokenError::to_string, |_| String::new());
    entry.outcome = Some(Outcome {
        at: now,
        done: made.is_ok(),
        answer,
    });
    audit.end(number, &entry).await?;
    made?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use futures_executor::block_on;
    use tinsmith_store::{MemoryStore, Store};

    use super::*;
    use crate::doors::Choices;

    fn doors(disk: &MemoryStore) -> Doors {
        let store: Arc<dyn Store> = Arc::new(disk.restart());
        block_on(Doors::open(&store, &Choices::default())).unwrap()
    }

    #[test]
    fn the_first_start_makes_a_token_and_later_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let disk = MemoryStore::new();
        let made = block_on(doors(&disk).ensure_admin(5, folder.path(), &[1; 32]));
        assert!(made.unwrap());
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let again = doors(&disk);
        assert!(!block_on(again.ensure_admin(6, folder.path(), &[2; 32])).unwrap());
        let (_, token) = again.tokens.open_with(6, text.trim()).unwrap();
        assert_eq!((&*token.name, token.role), (NAME, Role::Admin));
        let page = block_on(again.audit.page(None, 0, 9)).unwrap();
        let entry = page.entries[0].1.as_ref().unwrap();
        assert_eq!(entry.detail["name"], NAME);
        assert!(entry.outcome.as_ref().is_some_and(|outcome| outcome.done));
        assert!(!format!("{entry:?}").contains(text.trim()));
    }

    #[test]
    fn a_secret_that_is_there_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let secret = Secret::new(&[7; 32]);
        std::fs::write(&path, secret.reveal()).unwrap();
        // A cut between file and record leaves just that.
        for cut in 0..4 {
            let disk = MemoryStore::new();
            let store: Arc<dyn Store> = Arc::new(disk.restart().fail_after(cut));
            let first = block_on(Doors::open(&store, &Choices::default())).unwrap();
            let _ = block_on(first.ensure_admin(5, folder.path(), &[1; 32]));
            let doors = doors(&disk);
            block_on(doors.ensure_admin(5, folder.path(), &[2; 32])).unwrap();
            assert!(
                doors.tokens.open_with(6, secret.reveal()).is_some(),
                "{cut}"
            );
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        std::fs::write(&path, "something else").unwrap();
        let made = block_on(doors(&MemoryStore::new()).ensure_admin(5, folder.path(), &[1; 32]));
        assert!(matches!(made, Err(AdminError::NoToken)));
    }

    #[test]
    fn when_the_last_one_has_expired_there_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let doors = doors(&MemoryStore::new());
        let named = Named {
            expires: Some(10),
            ..admin(NAME.to_owned())
        };
        block_on(doors.tokens.make(0, &Secret::new(&[1; 32]), named)).unwrap();
        assert!(!block_on(doors.ensure_admin(9, folder.path(), &[2; 32])).unwrap());
        assert!(block_on(doors.ensure_admin(10, folder.path(), &[2; 32])).unwrap());
        let names: Vec<String> = doors.tokens.list().into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["admin", "admin-2"]);
    }
}

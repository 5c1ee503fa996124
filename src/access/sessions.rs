//! Browsers: a code from a link is exchanged for a session, once. Both belong to a token, and are
//! worth nothing when that is.

use std::collections::HashMap;

use tinsmith_digest::{Digest, encode_hex};

/// How long a code may be used (ms).
pub const CODE_LIFE: u64 = 600_000;
/// How long a session lasts (ms).
pub const SESSION_LIFE: u64 = 12 * 3_600_000;
/// The most codes that wait to be used; the oldest makes room.
const MAX_CODES: usize = 64;
/// The most sessions; the one that was not used for the longest time makes room.
const MAX_SESSIONS: usize = 256;

/// Codes and sessions of this process. Times are milliseconds of a clock that only goes forward.
#[derive(Debug, Default)]
pub struct Sessions {
    codes: HashMap<Digest, Code>,
    open: HashMap<Digest, Session>,
}

#[derive(Debug)]
struct Code {
    token: Digest,
    until: u64,
}

#[derive(Debug)]
struct Session {
    token: Digest,
    until: u64,
    used: u64,
}

impl Sessions {
    /// A code for who holds the token with this digest, from random bytes.
    pub fn invite(&mut self, now: u64, token: Digest, random: &[u8; 32]) -> String {
        self.codes.retain(|_, code| now < code.until);
        make_room(&mut self.codes, MAX_CODES, |code| code.until);
        let text = encode_hex(random);
        let until = now + CODE_LIFE;
        let code = Code { token, until };
        self.codes.insert(Digest::of(text.as_bytes()), code);
        text
    }

    /// Exchanges a code for a session, made of random bytes: the value of its cookie, and the
    /// digest of its token.
    pub fn enter(&mut self, now: u64, code: &str, random: &[u8; 32]) -> Option<(String, Digest)> {
        let code = self.codes.remove(&Digest::of(code.as_bytes()))?;
        if now >= code.until {
            return None;
        }
        self.open.retain(|_, session| now < session.until);
        make_room(&mut self.open, MAX_SESSIONS, |session| session.used);
        let text = encode_hex(random);
        let session = Session {
            token: code.token,
            until: now + SESSION_LIFE,
            used: now,
        };
        self.open.insert(Digest::of(text.as_bytes()), session);
        Some((text, code.token))
    }

    /// The token of the session with this cookie.
    pub fn of(&mut self, now: u64, cookie: &str) -> Option<Digest> {
        let session = self.open.get_mut(&Digest::of(cookie.as_bytes()))?;
        if now >= session.until {
            return None;
        }
        session.used = now;
        Some(session.token)
    }

    /// Ends the session with this cookie.
    pub fn leave(&mut self, cookie: &str) {
        self.open.remove(&Digest::of(cookie.as_bytes()));
    }

    /// Ends all sessions and codes of a token.
    pub fn end(&mut self, token: &Digest) {
        self.codes.retain(|_, code| code.token != *token);
        self.open.retain(|_, session| session.token != *token);
    }
}

fn make_room<T>(table: &mut HashMap<Digest, T>, max: usize, age: impl Fn(&T) -> u64) {
    if table.len() >= max {
        let oldest = table.iter().min_by_key(|(_, item)| age(item));
        if let Some(key) = oldest.map(|(key, _)| *key) {
            table.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(byte: u8) -> Digest {
        Digest([byte; 32])
    }

    fn random(number: u32) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    #[test]
    fn a_code_is_used_once_and_soon() {
        let mut sessions = Sessions::default();
        let code = sessions.invite(0, token(1), &random(1));
        assert!(sessions.enter(1, &code[1..], &random(2)).is_none());
        let (cookie, of) = sessions.enter(1, &code, &random(2)).unwrap();
        assert_eq!(of, token(1));
        assert!(sessions.enter(2, &code, &random(3)).is_none());
        assert_eq!(sessions.of(2, &cookie), Some(token(1)));
        // A code is no cookie.
        assert_eq!(sessions.of(2, &code), None);
        let late = sessions.invite(0, token(1), &random(4));
        assert!(sessions.enter(CODE_LIFE, &late, &random(5)).is_none());
    }

    #[test]
    fn a_session_ends() {
        let mut sessions = Sessions::default();
        let enter = |sessions: &mut Sessions, number| {
            let code = sessions.invite(0, token(1), &random(number));
            sessions.enter(0, &code, &random(number + 1)).unwrap().0
        };
        let cookie = enter(&mut sessions, 1);
        assert!(sessions.of(SESSION_LIFE - 1, &cookie).is_some());
        assert!(sessions.of(SESSION_LIFE, &cookie).is_none());
        let cookie = enter(&mut sessions, 3);
        sessions.leave(&cookie);
        assert!(sessions.of(1, &cookie).is_none());
        let cookie = enter(&mut sessions, 5);
        let code = sessions.invite(0, token(1), &random(7));
        sessions.end(&token(2));
        assert!(sessions.of(1, &cookie).is_some());
        sessions.end(&token(1));
        assert!(sessions.of(1, &cookie).is_none());
        assert!(sessions.enter(1, &code, &random(8)).is_none());
    }

    #[test]
    fn there_are_only_so_many() {
        let mut sessions = Sessions::default();
        let code = sessions.invite(0, token(1), &random(0));
        let (used, _) = sessions.enter(0, &code, &random(1)).unwrap();
        let mut first = None;
        for number in 0..1000 {
            let now = 1 + u64::from(number);
            let code = sessions.invite(now, token(1), &random(2 * number + 2));
            let (cookie, _) = sessions.enter(now, &code, &random(2 * number + 3)).unwrap();
            first.get_or_insert(cookie);
            assert!(sessions.of(now, &used).is_some());
        }
        assert!(sessions.of(1001, &first.unwrap()).is_none());
        assert_eq!(sessions.open.len(), MAX_SESSIONS);
        for number in 0..1000 {
            sessions.invite(2000, token(1), &random(number));
        }
        assert_eq!(sessions.codes.len(), MAX_CODES);
    }
}

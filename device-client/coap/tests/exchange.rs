//! Exchanges without reliability below them, as over TCP.
#![allow(clippy::unwrap_used)]

use tinsmith_coap::observe::Freshness;
use tinsmith_coap::{Code, ExchangeError, Exchanges, Instant, Meaning, Token};

fn token(n: u8) -> Token {
    Token::new(&[n]).unwrap()
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

#[test]
fn responses_in_any_order_find_their_requests() {
    let mut exchanges = Exchanges::<2>::new();
    assert!(exchanges.is_empty());
    exchanges.open(at(0), token(1), 1000).unwrap();
    exchanges.open(at(5), token(2), 1000).unwrap();
    assert!(!exchanges.has_room());
    let opened = exchanges.open(at(6), token(1), 1000);
    assert_eq!(opened, Err(ExchangeError::TokenInUse));
    let opened = exchanges.open(at(6), token(3), 1000);
    assert_eq!(opened, Err(ExchangeError::Full));

    assert_eq!(
        exchanges.classify(Code::CONTENT, token(2)),
        Meaning::Response
    );
    assert_eq!(exchanges.classify(Code::GET, token(1)), Meaning::Request);
    assert_eq!(
        exchanges.classify(Code::EMPTY, Token::EMPTY),
        Meaning::Other
    );
    assert_eq!(
        exchanges.classify(Code::CHANGED, token(1)),
        Meaning::Response
    );
    assert!(exchanges.is_empty());
}

#[test]
fn the_answer_to_an_observation_is_a_response_and_what_follows_notifications() {
    let mut exchanges = Exchanges::<1>::new();
    exchanges.open(at(0), token(7), 1000).unwrap();
    assert_eq!(
        exchanges.classify(Code::CONTENT, token(7)),
        Meaning::Response
    );
    let mut freshness = Freshness::new(at(1), 5);
    for sequence in 6..9 {
        let meaning = exchanges.classify(Code::CONTENT, token(7));
        assert_eq!(meaning, Meaning::Notification);
        assert!(freshness.accept(at(2), sequence));
    }
}

#[test]
fn what_is_not_answered_ends_at_its_deadline() {
    let mut exchanges = Exchanges::<2>::new();
    exchanges.open(at(0), token(1), 1000).unwrap();
    exchanges.open(at(0), token(2), 500).unwrap();
    assert_eq!(exchanges.next_deadline(), Some(at(500)));
    assert_eq!(exchanges.expired(at(499)), None);
    assert_eq!(exchanges.expired(at(500)), Some(token(2)));
    assert!(exchanges.close(token(1)));
    assert!(!exchanges.close(token(1)));
    assert_eq!(exchanges.expired(at(5000)), None);
    assert_eq!(exchanges.next_deadline(), None);
}

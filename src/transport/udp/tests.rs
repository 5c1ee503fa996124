//! Sockets of loopback.

use super::*;
use crate::Received;

fn outgoing(to: SocketAddr, bytes: Vec<u8>) -> Outgoing {
    Outgoing {
        to: Peer::udp(to),
        identity: Identity::None,
        bytes,
    }
}

#[tokio::test]
async fn batches_go_both_ways() {
    let a = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let b = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut out: Vec<Outgoing> = (0..150u8)
        .map(|i| outgoing(b.local_addr(), vec![i; 20]))
        .collect();
    a.send(&mut out).await.unwrap();
    assert!(out.is_empty());
    let mut batch = ReceiveBatch::new();
    let mut seen = Vec::new();
    while seen.len() < 150 {
        b.receive(&mut batch).await.unwrap();
        for Received { peer, bytes, .. } in batch.iter() {
            assert_eq!(peer.address, a.local_addr());
            assert_eq!(bytes.len(), 20);
            seen.push(bytes[0]);
        }
    }
    assert!(seen.iter().copied().eq(0..150));
}

#[test]
fn several_runtimes_take_each_datagram_once() {
    let bound = BoundUdp::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let to = bound.local_addr();
    let (seen, all) = std::sync::mpsc::channel();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let inside = runtime.enter();
            let listener = bound.listen().unwrap();
            drop(inside);
            let seen = seen.clone();
            std::thread::spawn(move || {
                runtime.block_on(async {
                    let mut batch = ReceiveBatch::new();
                    loop {
                        listener.receive(&mut batch).await.unwrap();
                        for received in batch.iter() {
                            match received.bytes {
                                [] => return,
                                bytes => seen.send(bytes[0]).unwrap(),
                            }
                        }
                    }
                });
            })
        })
        .collect();
    let from = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 1..=100 {
        from.send_to(&[n; 4], to).unwrap();
    }
    let mut taken: Vec<u8> = all.iter().take(100).collect();
    // Each that ends takes one of these, or more.
    while threads.iter().any(|thread| !thread.is_finished()) {
        from.send_to(&[], to).unwrap();
        std::thread::yield_now();
    }
    drop(seen);
    taken.extend(all.iter());
    taken.sort_unstable();
    assert!(taken.into_iter().eq(1..=100));
}

#[tokio::test]
async fn sockets_at_one_address_share_its_senders() {
    let first = BoundUdp::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let to = first.local_addr();
    let mut all = vec![first];
    for _ in 0..2 {
        all.push(all[0].beside().unwrap());
    }
    assert!(all.iter().all(|socket| socket.local_addr() == to));
    let error = BoundUdp::bind(to).err().expect("another process");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let listeners: Vec<_> = all.iter().map(|socket| socket.listen().unwrap()).collect();
    let senders: Vec<_> = (0..50)
        .map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let mut batch = ReceiveBatch::new();
    let mut at: Vec<Option<usize>> = vec![None; senders.len()];
    for _ in 0..2 {
        for sender in &senders {
            sender.send_to(&[1], to).unwrap();
        }
        let mut seen = 0;
        for (index, listener) in listeners.iter().enumerate() {
            while listener.try_receive(&mut batch).unwrap() || readable(listener).await {
                for received in batch.iter() {
                    let from = received.peer.address;
                    let mut found = senders.iter().zip(&mut at);
                    let (_, at) = found
                        .find(|(sender, _)| sender.local_addr().unwrap() == from)
                        .unwrap();
                    assert_eq!(*at.get_or_insert(index), index, "another socket");
                    seen += 1;
                }
                batch.clear();
            }
        }
        assert_eq!(seen, senders.len());
    }
}

/// Whether there is something, which is known at once on loopback.
async fn readable(listener: &UdpListener) -> bool {
    let wait = std::time::Duration::from_millis(50);
    let readable = tokio::time::timeout(wait, listener.socket.readable());
    readable.await.is_ok()
}

#[tokio::test]
async fn what_is_there_is_taken_without_waiting() {
    let a = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let b = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut batch = ReceiveBatch::new();
    let mut out: Vec<Outgoing> = (0..65u8)
        .map(|i| outgoing(b.local_addr(), vec![i; 4]))
        .collect();
    a.send(&mut out).await.unwrap();
    b.receive(&mut batch).await.unwrap();
    assert_eq!(batch.iter().count(), 64);
    assert!(b.try_receive(&mut batch).unwrap());
    let rest: Vec<_> = batch.iter().map(|r| r.bytes.to_vec()).collect();
    assert_eq!(rest, [vec![64; 4]]);
    assert!(!b.try_receive(&mut batch).unwrap());
}

#[tokio::test]
async fn both_families_on_one_thread() {
    let mut batch = ReceiveBatch::new();
    for _ in 0..2 {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(a) = UdpListener::bind(address.parse().unwrap()) else {
                continue; // No IPv6 here.
            };
            let b = UdpListener::bind(address.parse().unwrap()).unwrap();
            let to = b.local_addr();
            let mut out = (0..3u8).map(|i| outgoing(to, vec![i; 4])).collect();
            a.send(&mut out).await.unwrap();
            let mut seen = 0;
            while seen < 3 {
                b.receive(&mut batch).await.unwrap();
                assert!(batch.iter().all(|r| r.peer.address == a.local_addr()));
                seen += batch.iter().count();
            }
        }
    }
}

#[tokio::test]
async fn of_an_overlong_datagram_there_is_the_beginning() {
    let a = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let b = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut out = vec![
        outgoing(b.local_addr(), vec![1; MAX_DATAGRAM + 1]),
        outgoing(b.local_addr(), vec![2; 4]),
    ];
    a.send(&mut out).await.unwrap();
    let mut batch = ReceiveBatch::new();
    let (mut seen, mut cut) = (Vec::new(), Vec::new());
    while seen.is_empty() {
        b.receive(&mut batch).await.unwrap();
        seen.extend(batch.iter().map(|r| r.bytes.to_vec()));
        cut.extend(batch.cut().map(|r| (r.peer, r.bytes.to_vec())));
    }
    assert_eq!(seen, [vec![2; 4]]);
    let from = Peer::udp(a.local_addr());
    assert_eq!(cut, [(from, vec![1; MAX_DATAGRAM])]);
}

//! Bodies that several read at once, and who asks for them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;

use super::flight::{ALONE_FOR, Boarding, Flights};
use super::intake::{self, Intake, Kept, Reader, WINDOW, Writer};
use super::{LEAST_RATE, RATE_GRACE, is_in_time};
use crate::cache::room::{NoRoom, Rooms};

/// With room for bodies of a MiB, four of them at once.
fn begin(length: Option<u64>) -> (Writer, Arc<Intake>) {
    intake::begin(rooms(1024 * 1024).room(), length).unwrap()
}

fn rooms(largest: u64) -> Arc<Rooms> {
    Arc::new(Rooms::new(16 * largest, largest))
}

async fn next(reader: &mut Reader) -> Option<io::Result<Bytes>> {
    std::future::poll_fn(|context| Pin::new(&mut *reader).poll_next(context)).await
}

/// What there is to read now.
async fn there(reader: &mut Reader) -> Vec<u8> {
    let mut read = Vec::new();
    std::future::poll_fn(|context| {
        while let Poll::Ready(Some(Ok(piece))) = Pin::new(&mut *reader).poll_next(context) {
            read.extend_from_slice(&piece);
        }
        Poll::Ready(())
    })
    .await;
    read
}

async fn rest(mut reader: Reader) -> Result<Vec<u8>, io::ErrorKind> {
    let mut read = Vec::new();
    while let Some(piece) = next(&mut reader).await {
        read.extend_from_slice(&piece.map_err(|error| error.kind())?);
    }
    Ok(read)
}

#[tokio::test]
async fn all_who_read_get_all_whenever_they_begin() {
    for length in [None, Some(9)] {
        let (mut writer, intake) = begin(length);
        let mut early = intake.read().unwrap();
        assert_eq!(writer.push(b"one").await, Kept::Whole);
        assert_eq!(there(&mut early).await, b"one");
        let late = intake.read().unwrap();
        writer.push(b"two").await;
        writer.push(b"end").await;
        let mut kept = None;
        writer.finish(|whole| kept = Some(whole));
        assert_eq!(kept.unwrap(), "onetwoend");
        let after = intake.read().unwrap();
        assert_eq!(rest(early).await.unwrap(), b"twoend");
        assert_eq!(rest(late).await.unwrap(), b"onetwoend");
        assert_eq!(rest(after).await.unwrap(), b"onetwoend");
    }
}

#[tokio::test]
async fn one_who_waits_is_woken_by_a_piece_by_the_end_and_by_a_cut() {
    let (mut writer, intake) = begin(None);
    let (whole, cut) = (intake.read().unwrap(), begin(None));
    let (cut_writer, cut_reader) = (cut.0, cut.1.read().unwrap());
    let (whole, broken, ()) = tokio::join!(rest(whole), rest(cut_reader), async {
        tokio::task::yield_now().await;
        writer.push(b"x").await;
        tokio::task::yield_now().await;
        writer.finish(drop);
        drop(cut_writer);
    });
    assert_eq!(whole.unwrap(), b"x");
    assert_eq!(broken, Err(io::ErrorKind::UnexpectedEof));
}

#[tokio::test]
async fn a_kept_body_waits_for_nobody() {
    let (mut writer, intake) = begin(None);
    let _idle = intake.read().unwrap();
    let piece = vec![7; 100_000];
    for _ in 0..10 {
        assert_eq!(writer.push(&piece).await, Kept::Whole);
    }
    let mut kept = 0;
    writer.finish(|whole| kept = whole.len());
    assert_eq!(kept, 1_000_000);
}

#[tokio::test]
async fn what_finds_no_room_passes_through_at_the_pace_of_who_reads() {
    const BYTES: usize = 3 * 1024 * 1024;
    let (mut writer, intake) = begin(None);
    let reader = intake.read().unwrap();
    let write = async {
        let mut most = Kept::Whole;
        for piece in vec![7; BYTES].chunks(10_000) {
            most = writer.push(piece).await;
            assert!(intake.held() <= 1024 * 1024 + 10_000, "{}", intake.held());
        }
        assert_eq!(most, Kept::No);
        assert!(intake.held() <= WINDOW + 10_000, "{}", intake.held());
        assert!(intake.read().is_none(), "its beginning is gone");
        writer.finish(|_| panic!("it was not kept"));
    };
    let (read, ()) = tokio::join!(rest(reader), write);
    assert_eq!(read.unwrap().len(), BYTES);
}

#[tokio::test]
async fn one_who_does_not_read_keeps_the_others_waiting_only_so_long() {
    let (mut writer, intake) = begin(None);
    let (reader, idle) = (intake.read().unwrap(), intake.read().unwrap());
    let began = Instant::now();
    let (read, ()) = tokio::join!(rest(reader), async {
        for piece in vec![7; 2 * 1024 * 1024].chunks(10_000) {
            writer.push(piece).await;
        }
        writer.finish(drop);
    });
    assert_eq!(read.unwrap().len(), 2 * 1024 * 1024);
    assert!(began.elapsed() >= intake::LAGGARD_PATIENCE);
    assert_eq!(rest(idle).await, Err(io::ErrorKind::TimedOut));
}

#[tokio::test]
async fn what_is_neither_kept_nor_read_is_given_up() {
    let (mut writer, intake) = begin(None);
    drop(intake.read());
    let piece = vec![7; 600_000];
    assert_eq!(
        writer.push(&piece).await,
        Kept::Whole,
        "nobody need read it"
    );
    assert_eq!(writer.push(&piece).await, Kept::Deserted);
}

#[test]
fn the_room_of_a_known_length_is_taken_at_once() {
    let rooms = rooms(1024);
    assert_eq!(
        intake::begin(rooms.room(), Some(1025)).err(),
        Some(NoRoom::TooLarge)
    );
    // Half of what there is for bodies that come in; then only small ones get any.
    let held: Vec<_> = (0..2)
        .map(|_| intake::begin(rooms.room(), Some(1000)).unwrap())
        .collect();
    assert_eq!(
        intake::begin(rooms.room(), Some(1000)).err(),
        Some(NoRoom::Taken)
    );
    drop(held);
    assert!(intake::begin(rooms.room(), Some(1000)).is_ok());
}

#[test]
fn a_body_is_in_time_while_it_comes_at_the_least_rate() {
    let second = Duration::from_secs(1);
    assert!(is_in_time(0, RATE_GRACE));
    assert!(is_in_time(LEAST_RATE, RATE_GRACE + second));
    assert!(!is_in_time(LEAST_RATE - 1, RATE_GRACE + second));
    assert!(is_in_time(3600 * LEAST_RATE, RATE_GRACE + 3600 * second));
}

fn lead(flights: &Arc<Flights<u8>>, key: &str, sort: &str) -> super::flight::Lead<u8> {
    match flights.board(key.as_bytes(), sort.as_bytes(), Instant::now()) {
        Boarding::Lead(lead) => lead,
        other => panic!("{other:?}"),
    }
}

fn follow(flights: &Arc<Flights<u8>>, key: &str, sort: &str) -> super::flight::Follow<u8> {
    match flights.board(key.as_bytes(), sort.as_bytes(), Instant::now()) {
        Boarding::Follow(follow) => follow,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_all_who_ask_for_the_same_one_leads_and_the_others_hear_of_it() {
    let flights = Arc::new(Flights::new());
    let first = lead(&flights, "a", "");
    let (early, other_sort) = (follow(&flights, "a", ""), lead(&flights, "a", "de"));
    let other_key = lead(&flights, "b", "");
    assert_eq!(flights.len(), 3);
    first.tell(1);
    let late = follow(&flights, "a", "");
    drop(first);
    assert_eq!(early.news().await, Some(1));
    assert_eq!(late.news().await, Some(1), "told before he was gone");
    let silent = follow(&flights, "a", "de");
    drop((other_sort, other_key));
    assert_eq!(silent.news().await, None);
    assert!(flights.is_empty());
    drop(lead(&flights, "a", ""));
}

#[tokio::test]
async fn what_is_forgotten_is_asked_for_anew() {
    let flights = Arc::new(Flights::new());
    let old = lead(&flights, "http://a/1", "");
    let aboard = follow(&flights, "http://a/1", "");
    flights.forget(b"http://a/1");
    let new = lead(&flights, "http://a/1", "");
    old.tell(1);
    drop(old);
    assert_eq!(aboard.news().await, Some(1));
    let aboard = follow(&flights, "http://a/1", "");
    flights.forget_below(b"http://a/");
    assert!(flights.is_empty());
    new.tell(2);
    assert_eq!(aboard.news().await, Some(2));
}

#[test]
fn who_cannot_share_goes_alone_for_a_while() {
    let flights: Arc<Flights<u8>> = Arc::new(Flights::new());
    let now = Instant::now();
    let is_alone = |now| matches!(flights.board(b"a", b"", now), Boarding::Alone);
    flights.go_alone(b"a", now);
    assert!(is_alone(now));
    assert!(matches!(flights.board(b"b", b"", now), Boarding::Lead(_)));
    assert!(!is_alone(now + ALONE_FOR));
    flights.go_alone(b"a", now);
    flights.go_together(b"a");
    assert!(!is_alone(now));
}

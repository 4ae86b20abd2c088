//! What a capture shows, for people.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use comfy_table::CellAlignment;

use super::screen::{self, BLANK, bps, ms, table, write_table};
use crate::capture::analysis::{Analysis, Conversation};
use crate::capture::conversations::{MAX_CONVERSATIONS, MAX_SERIES};
use crate::capture::tcp::Connection;
use crate::capture::verify::{Value, Verified};
use crate::udp::Measurement;

/// All conversations of a capture.
pub fn analysis(
    out: &mut dyn Write,
    path: &Path,
    analysis: &Analysis,
    udp: &[Conversation<'_>],
    loss_deadline: Duration,
) -> io::Result<()> {
    let (ended, conversations) = (&analysis.ended, &analysis.conversations);
    writeln!(
        out,
        "{}: {}, {} UDP and {} TCP conversations",
        path.display(),
        count(ended.packets, "packet"),
        udp.len(),
        conversations.tcp().len()
    )?;
    let skipped = ended.skipped;
    for (packets, why) in [
        (skipped.other_protocol, "neither UDP nor TCP"),
        (skipped.fragments, "further fragments, which have no ports"),
        (skipped.malformed, "cut off or damaged"),
        (skipped.unknown_link, "on a kind of link that is not known"),
    ] {
        if packets > 0 {
            writeln!(out, "  left out: {}, {why}", count(packets, "packet"))?;
        }
    }
    if conversations.beyond > 0 {
        writeln!(
            out,
            "  left out: {} of conversations beyond the first {MAX_CONVERSATIONS}",
            count(conversations.beyond, "packet")
        )?;
    }
    for (datagrams, what) in [
        (conversations.series.beyond, "series of probes"),
        (conversations.streams.beyond, "RTP streams"),
    ] {
        if datagrams > 0 {
            writeln!(
                out,
                "  only counted: {} of {what} beyond the first {MAX_SERIES}",
                count(datagrams, "datagram")
            )?;
        }
    }
    if let Some(damage) = &ended.damaged {
        writeln!(out, "  the rest of the file cannot be read: {damage}")?;
    }
    for conversation in udp {
        of_udp(out, conversation, loss_deadline)?;
    }
    for connection in conversations.tcp() {
        of_tcp(out, connection)?;
    }
    Ok(())
}

fn of_udp(
    out: &mut dyn Write,
    conversation: &Conversation<'_>,
    loss_deadline: Duration,
) -> io::Result<()> {
    let udp = conversation.udp;
    writeln!(out, "\nudp {} ↔ {}", udp.client, udp.server)?;
    let mut rates = table(["direction", "packets", "bytes", "rate of payload"]);
    for (name, direction) in [("there", &udp.there), ("back", &udp.back)] {
        rates.add_row([
            name.to_owned(),
            direction.packets.to_string(),
            direction.bytes.to_string(),
            bps(direction.bps()),
        ]);
    }
    numbers_to_the_right(&mut rates);
    write_table(out, &rates)?;
    for stream in &udp.streams {
        writeln!(
            out,
            "  RTP {} ssrc {:#010x} type {}: {} packets of {}, {} lost; jitter mean {}, max {}",
            if stream.there { "there" } else { "back" },
            stream.ssrc,
            stream.payload_type,
            stream.packets,
            stream.expected(),
            stream.lost(),
            ms(stream.jitter.mean()),
            ms(stream.jitter.max),
        )?;
    }
    for series in &conversation.series {
        writeln!(out, "  probes of qos-client, run {:016x}", series.run.id)?;
        if series.mistimed > 0 {
            writeln!(
                out,
                "  left out: {} with the answer before it: the clock of the capture was set back",
                count(series.mistimed.into(), "probe")
            )?;
        }
        screen::path(out, &series.figures, loss_deadline)?;
    }
    Ok(())
}

fn of_tcp(out: &mut dyn Write, tcp: &Connection) -> io::Result<()> {
    writeln!(
        out,
        "\ntcp {} ↔ {}: handshake {}{}",
        tcp.client,
        tcp.server,
        ms(tcp.handshake),
        if tcp.reset { ", reset" } else { "" }
    )?;
    let mut halves = table([
        "direction",
        "packets",
        "bytes",
        "rate of new bytes",
        "sent again",
        "out of order",
    ]);
    for (name, half) in [("there", &tcp.there), ("back", &tcp.back)] {
        halves.add_row([
            name.to_owned(),
            half.packets.to_string(),
            half.bytes.to_string(),
            bps(half.rate.bps()),
            half.retransmitted.to_string(),
            half.out_of_order.to_string(),
        ]);
    }
    numbers_to_the_right(&mut halves);
    write_table(out, &halves)
}

/// The three observers side by side.
pub fn verified(
    out: &mut dyn Write,
    verified: &Verified,
    measured: &Measurement,
) -> io::Result<()> {
    let mut table = table(["figure", "client", "capture", "tshark", ""]);
    for compared in &verified.figures {
        let agrees = if compared.agrees() {
            "same"
        } else {
            "DIFFERENT"
        };
        table.add_row([
            compared.name.to_owned(),
            value(compared.client),
            value(compared.file),
            value(compared.tshark),
            agrees.to_owned(),
        ]);
    }
    for column in 1..=3 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    write_table(out, &table)?;
    for limit in &measured.limits {
        writeln!(out, "  measurement-limited: {limit}")?;
    }
    if let Some(note) = measured.ended_early() {
        writeln!(out, "  note: {note}")?;
    }
    if !verified.tshark {
        writeln!(out, "  tshark is not installed here: its column is blank")?;
    }
    Ok(())
}

fn value(value: Value) -> String {
    match value {
        Value::Blank => BLANK.to_owned(),
        Value::Count(count) => count.to_string(),
        Value::Time(time) => ms(Some(time)),
    }
}

/// A number of things.
fn count(n: u64, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

fn numbers_to_the_right(table: &mut comfy_table::Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

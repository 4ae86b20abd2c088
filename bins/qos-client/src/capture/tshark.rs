//! What the installed tshark makes of a capture: an opinion that this program did not form.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What it says of one conversation whose probes have RTP headers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Opinion {
    pub(super) sent: u64,
    pub(super) sent_bytes: u64,
    pub(super) answers: u64,
    pub(super) answer_bytes: u64,
    /// Sequence numbers that were sent and of which no answer came.
    pub(super) lost: u64,
    /// Of the answers, as it prints it: milliseconds to three decimals.
    pub(super) jitter_mean: Option<Duration>,
    pub(super) jitter_max: Option<Duration>,
}

/// Asks it about the conversation between these two UDP ports. `None` where it is not installed.
pub(super) fn ask(file: &Path, client: u16, server: u16) -> io::Result<Option<Opinion>> {
    let decode = format!("udp.port=={server},rtp");
    let fields = "-Tfields -eudp.srcport -eudp.length -ertp.seq -Eseparator=,";
    let filter = format!("udp.port=={client} && udp.port=={server}");
    let arguments = fields.split(' ').chain(["-Y", &filter]);
    let Some(rows) = run(file, &decode, arguments)? else {
        return Ok(None);
    };
    let mut opinion = Opinion::default();
    let (mut sent, mut answered) = (HashSet::new(), HashSet::new());
    for row in rows.lines() {
        let mut cells = row.split(',');
        let mut number = || cells.next().and_then(|cell| cell.parse::<u64>().ok());
        let (Some(port), Some(length), sequence) = (number(), number(), number()) else {
            continue;
        };
        // The length of the UDP header is in the field.
        let payload = length.saturating_sub(8);
        if port == u64::from(client) {
            opinion.sent += 1;
            opinion.sent_bytes += payload;
            sent.extend(sequence);
        } else {
            opinion.answers += 1;
            opinion.answer_bytes += payload;
            answered.extend(sequence);
        }
    }
    opinion.lost = sent.difference(&answered).count() as u64;
    let streams = run(file, &decode, ["-q", "-z", "rtp,streams"])?.unwrap_or_default();
    if let Some((mean, max)) = streams.lines().find_map(|line| jitter(line, server)) {
        opinion.jitter_mean = Some(mean);
        opinion.jitter_max = Some(max);
    }
    Ok(Some(opinion))
}

/// Mean and largest jitter in a line of `-z rtp,streams` that is of a stream from this port: start,
/// end, address, port, address, port, SSRC, payload, packets, lost, its share, three deltas, three
/// jitters.
fn jitter(line: &str, from_port: u16) -> Option<(Duration, Duration)> {
    const PORT: usize = 3;
    let cells: Vec<&str> = line.split_whitespace().collect();
    if cells.get(PORT)?.parse() != Ok(from_port) {
        return None;
    }
    let share = cells.iter().position(|cell| cell.ends_with("%)"))?;
    let ms = |place: usize| {
        let ms: f64 = cells.get(share + place)?.parse().ok()?;
        Duration::try_from_secs_f64(ms / 1e3).ok()
    };
    Some((ms(5)?, ms(6)?))
}

/// What it prints; `None` where it is not installed.
fn run<'a>(
    file: &Path,
    decode: &str,
    arguments: impl IntoIterator<Item = &'a str>,
) -> io::Result<Option<String>> {
    let output = Command::new("tshark")
        .args(["-n", "-r"])
        .arg(file)
        .args(["-d", decode])
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        output => output?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("it gave no reason");
        return Err(io::Error::other(format!("tshark failed: {last}")));
    }
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jitter_is_read_from_the_table_that_tshark_prints() {
        // A line of tshark 4.
        let line = "     0.000123      0.190321       127.0.0.1  9000       127.0.0.1 40001 \
                    0x11223344        MPEG-II streams     20     0 (0.0%)  9.1  10.000  11.0 \
                    0.003 0.011 0.025   X";
        let ms = |ms: f64| Duration::from_secs_f64(ms / 1e3);
        assert_eq!(jitter(line, 9000), Some((ms(0.011), ms(0.025))));
        assert_eq!(jitter(line, 9001), None);
        assert_eq!(jitter("====", 9000), None);
    }
}

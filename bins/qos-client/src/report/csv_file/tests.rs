use super::*;
use crate::udp::Run;
use std::collections::HashSet;
use std::fs;

/// The header as scripts and spreadsheets know it. Changing it leaves users with two files.
const GOLDEN_HEADER: &str = "timestamp_utc,packets_sent,loss_pct,throughput_bps,rtt_mean_ms,ipdv_abs_mean_ms,run_id,client,\
target,via,pattern,seed,payload_bytes,interval_ms,warmup_packets,loss_deadline_ms,dscp,\
dscp_returned,packets_answered,packets_late,packets_lost,packets_in_flight,local_drops,\
receive_drops,duplicates,replicated,reordered,reorder_extent_max,corrupt,loss_n,loss_ci_low_pct,\
loss_ci_high_pct,loss_run_max,loss_run_mean,burst_count,burst_max,burst_mean,burst_density_pct,\
gap_density_pct,offered_bps,achieved_bps,achieved_ip_bps,achieved_frame_bps,goodput_bps,rtt_n,\
rtt_min_ms,rtt_p50_ms,rtt_p95_ms,rtt_p99_ms,rtt_max_ms,rtt_stddev_ms,jitter_rfc3550_ms,\
jitter_rfc3550_n,ipdv_n,pdv_p95_ms,pdv_p99_ms,r_factor,mos,burst_ratio,hop_n,\
hop_client_proxy_p50_ms,hop_proxy_residence_p50_ms,hop_proxy_server_p50_ms,\
hop_server_residence_p50_ms,pacing_n,pacing_error_p50_ms,pacing_error_p99_ms,missed_slots,\
kernel_stamped_pct,measurement_limited,http_status,http_connect_ms,http_first_byte_ms,\
http_transfer_ms,http_total_ms,http_body_bytes,http_throughput_bps,http_requests,http_answered,http_errors,http_hits,http_rate_rps,http_latency_mean_ms,\
http_latency_p50_ms,http_latency_p95_ms,http_latency_p99_ms,http_latency_max_ms,\
http_service_p99_ms,phase,load_download_bps,load_upload_bps,rtt_increase_ms,bufferbloat_grade,\
rpm,rpm_n,rpm_connect_ms,rpm_request_ms,rpm_loaded_rtt_ms,rpm_loaded_n,added_rtt_ms,added_rtt_low_ms,added_rtt_high_ms,added_rtt_n,added_hit_ms,added_hit_low_ms,\
added_hit_high_ms,added_hit_n,added_miss_ms,added_miss_low_ms,added_miss_high_ms,added_miss_n,cache_status,verdict,\
tool_version\r\n";

fn row(client: u32, target: &str) -> Row {
    let at = "2026-03-01T12:30:00Z".parse().unwrap();
    let mut row = Row::new(at, Run { id: 0xab }, client, target);
    row.set("packets_sent", Cell::Count(20));
    row.set("loss_pct", Cell::Pct(0.0));
    row
}

fn records(path: &Path) -> Vec<csv::StringRecord> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(path)
        .unwrap();
    reader.records().map(Result::unwrap).collect()
}

#[test]
fn an_empty_file_gets_the_header_and_a_second_row_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qos_result.csv");
    let appended = append(&path, &[row(1, "udp a:1")]).unwrap();
    assert_eq!(appended.path, path);
    assert_eq!(appended.instead_of, None);
    append(&path, &[row(2, "udp a:1")]).unwrap();

    let text = fs::read_to_string(&path).unwrap();
    let rest = text.strip_prefix(GOLDEN_HEADER).expect("the golden header");
    let begins = "2026-03-01T12:30:00.000Z,20,0.0000,,,,00000000000000ab,";
    let lines: Vec<_> = rest.split("\r\n").collect();
    assert_eq!(lines.len(), 3, "{rest:?}");
    assert!(lines[0].starts_with(&format!("{begins}1,udp a:1,")));
    assert!(lines[1].starts_with(&format!("{begins}2,udp a:1,")));
    assert_eq!(lines[2], "");
    for record in records(&path) {
        assert_eq!(record.len(), COLUMNS.len());
    }
}

#[test]
fn a_file_that_holds_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.csv");
    let similar = format!("{},more\r\n", GOLDEN_HEADER.trim_end());
    for foreign in ["name,mark\nAda,1\n", "x", &similar] {
        fs::write(&path, foreign).unwrap();
        let appended = append(&path, &[row(1, "udp a:1")]).unwrap();
        assert_eq!(appended.path, folder.path().join("results-2.csv"));
        assert_eq!(appended.instead_of, Some(path.clone()));
        assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
    }
    assert_eq!(records(&folder.path().join("results-2.csv")).len(), 4);
}

#[test]
fn a_header_that_an_editor_saved_with_plain_line_ends_is_still_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, GOLDEN_HEADER.replace("\r\n", "\n")).unwrap();
    assert_eq!(append(&path, &[row(1, "udp a:1")]).unwrap().path, path);
    assert_eq!(records(&path).len(), 2);
}

#[test]
fn a_row_that_was_cut_short_does_not_swallow_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    append(&path, &[row(1, "udp a:1")]).unwrap();
    let mut text = fs::read_to_string(&path).unwrap();
    text.truncate(text.len() - 40);
    fs::write(&path, &text).unwrap();
    append(&path, &[row(2, "udp b:1")]).unwrap();
    let all = fs::read_to_string(&path).unwrap();
    assert!(all.starts_with(&format!("{text}\r\n2026-")), "{all}");
    assert_eq!(all.lines().count(), 3);
}

#[test]
fn nor_does_one_that_was_cut_short_within_quotes() {
    // "a,""b""" is a,"b" by RFC 4180: cut after each of its bytes.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let mut first = row(1, "udp a:1");
    first.set("via", Cell::Text("a,\"b\"".to_owned()));
    append(&path, &[first]).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let quoted = "\"a,\"\"b\"\"\"";
    let begin = whole.find(quoted).unwrap();
    for length in 1..=quoted.len() {
        fs::write(&path, &whole[..begin + length]).unwrap();
        append(&path, &[row(2, "udp b:1")]).unwrap();
        append(&path, &[row(3, "udp c:1")]).unwrap();
        let all = fs::read(&path).unwrap();
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(&*all);
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 3, "cut after {length}: {rows:?}");
        assert_eq!((&rows[1][8], &rows[2][8]), ("udp b:1", "udp c:1"));
        assert_eq!(rows[2].len(), COLUMNS.len());
    }
}

#[test]
fn text_from_the_network_is_no_formula() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "a,\"b\"\r\n=c"];
    let rows: Vec<Row> = hostile
        .iter()
        .map(|via| {
            let mut row = row(1, "udp a:1");
            row.set("via", Cell::Text((*via).to_owned()));
            row
        })
        .collect();
    append(&path, &rows).unwrap();
    let via = COLUMNS.iter().position(|name| *name == "via").unwrap();
    let read: Vec<String> = records(&path)
        .iter()
        .skip(1)
        .map(|r| r[via].to_owned())
        .collect();
    assert_eq!(
        read,
        ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx", "a,\"b\"\r\n=c"]
    );
}

#[test]
fn writers_at_the_same_time_break_no_row_and_lose_none() {
    const WRITERS: u32 = 8;
    const ROWS: u32 = 25;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.csv");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let path = &path;
            scope.spawn(move || {
                for i in 0..ROWS {
                    append(path, &[row(writer * ROWS + i, "udp a:1")]).unwrap();
                }
            });
        }
    });
    let records = records(&path);
    assert_eq!(records.len() as u32, WRITERS * ROWS + 1);
    let client = COLUMNS.iter().position(|name| *name == "client").unwrap();
    let clients: HashSet<_> = records
        .iter()
        .skip(1)
        .map(|r| r[client].to_owned())
        .collect();
    assert_eq!(clients.len() as u32, WRITERS * ROWS);
}

#[test]
fn a_writer_waits_for_another_that_has_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let other = File::create(&path).unwrap();
    flock(&other, FlockOperation::LockExclusive).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| append(&path, &[row(1, "udp a:1")]));
        std::thread::sleep(Duration::from_millis(100));
        // Until the other has written its header, this one must not look for one.
        assert_eq!(fs::read(&path).unwrap(), b"");
        (&other).write_all(GOLDEN_HEADER.as_bytes()).unwrap();
        drop(other);
        waiting.join().unwrap().unwrap();
    });
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("timestamp_utc").count(), 1, "{text}");
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn a_full_disk_is_named_with_the_file() {
    let error = append(Path::new("/dev/full"), &[row(1, "udp a:1")]).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("cannot write to /dev/full: No space left"),
        "{message}"
    );
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let error = append(Path::new("/no/such/folder/a.csv"), &[row(1, "udp a:1")]).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("cannot open /no/such/folder/a.csv: No such file"),
        "{message}"
    );
}

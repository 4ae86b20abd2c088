//! The line menu: the keys 0 to 5 that students know, and further ones; the same by pipe and on a
//! terminal.
//!
//! It only asks. What is asked for is run as an [`Action`], by the same code as the commands.
//! Only the keys 1 and 3 put questions; the others take their defaults, or what stands behind the
//! key on the same line (`2 /page.html`, `4 10`, `3 100 512`, `9 run.ndjson`), so that a script's next line is
//! always the next key.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, BufRead, Read as _};
use std::time::Duration;

use crate::action::{Bench, Failure};
use crate::config::Action;
use crate::page;
use crate::target::{Service, Target};
use crate::{clients, compare, http, load, udp};

/// The longest line that is read as an answer.
const MAX_ANSWER_BYTES: usize = 1024;

const CHOICES: &str = "  1  set target
  2  HTTP request
  3  UDP QoS test
  4  multi-client simulation
  5  browser mode
  6  loaded latency
  7  direct against proxied
  8  verify with a capture
  9  report of a recorded test
  0  quit
";
const CHOICES_IN_SHORT: &str = "\n1 target | 2 HTTP | 3 UDP test | 4 clients | 5 browser | 6 load | 7 compare | 8 verify | 9 report | 0 quit\n";

/// The dialogue.
pub struct Menu<'a> {
    /// Where answers come from.
    pub input: &'a mut dyn BufRead,
    /// Whether answers are to be repeated: those from a pipe are not on the screen.
    pub echo: bool,
    /// What runs the tests, and where the menu is written.
    pub bench: Bench<'a>,
}

/// The rest of the line behind a key.
type Given = VecDeque<String>;

/// What happens after a key.
enum Next {
    Ask,
    Quit,
}

impl Menu<'_> {
    /// Asks and runs until `0` or the end of the input.
    pub fn run(&mut self) -> io::Result<()> {
        let target = describe(&self.bench.target);
        write!(
            self.bench.out,
            "Wirelab qos-client, target {target}\n\n{CHOICES}"
        )?;
        loop {
            let Some(line) = self.line("choice: ", &mut Given::new())? else {
                return self.bye();
            };
            let mut given: Given = line.split_whitespace().map(str::to_owned).collect();
            let Some(key) = given.pop_front() else {
                continue;
            };
            match self.choose(&key, given)? {
                Some(Next::Ask) => write!(self.bench.out, "{CHOICES_IN_SHORT}")?,
                Some(Next::Quit) => return Ok(()),
                None => return self.bye(),
            }
        }
    }

    /// `None` when the input ended at a question.
    fn choose(&mut self, key: &str, mut given: Given) -> io::Result<Option<Next>> {
        let action = match key {
            "0" => return Ok(Some(Next::Quit)),
            "1" => {
                if !self.set_target(&mut given)? {
                    return Ok(None);
                }
                return Ok(Some(Next::Ask));
            }
            "2" => match self.taken(&mut given, http::Plan::default(), |plan, path| {
                plan.with_path(path)
            })? {
                Some(plan) => Action::Http(plan),
                None => return Ok(Some(Next::Ask)),
            },
            "3" => match self.ask_udp(&mut given)? {
                Some(plan) => Action::Udp(plan),
                None => return Ok(None),
            },
            "4" => match self.taken(&mut given, clients::Plan::default(), |plan, count| {
                number(count).and_then(|count| plan.with_count(count).map_err(|e| e.to_string()))
            })? {
                Some(plan) => Action::Clients(plan),
                None => return Ok(Some(Next::Ask)),
            },
            "6" => match self.taken(&mut given, load::Plan::default(), |plan, seconds| {
                let duration = number(seconds).map(Duration::from_secs);
                duration.and_then(|time| plan.with_duration(time).map_err(|e| e.to_string()))
            })? {
                Some(plan) => Action::Load(plan),
                None => return Ok(Some(Next::Ask)),
            },
            "7" => match self.taken(&mut given, compare::Plan::default(), |mut plan, packets| {
                let udp = number(packets)
                    .and_then(|packets| plan.udp.with_packets(packets).map_err(|e| e.to_string()));
                udp.map(|udp| {
                    plan.udp = udp;
                    plan
                })
            })? {
                Some(plan) => Action::Compare(plan),
                None => return Ok(Some(Next::Ask)),
            },
            "8" => match udp::Plan::default().with_rtp() {
                Ok(plan) => Action::Verify(plan),
                Err(reason) => {
                    writeln!(self.bench.out, "  {reason}")?;
                    return Ok(Some(Next::Ask));
                }
            },
            "9" => {
                let mut order = page::Order::default();
                if let Some(events) = given.pop_front() {
                    order.events = events.into();
                }
                Action::Report(order)
            }
            "5" => {
                self.browser()?;
                return Ok(Some(Next::Ask));
            }
            other => {
                writeln!(
                    self.bench.out,
                    "  {other:?} is no choice; type one of the numbers above"
                )?;
                return Ok(Some(Next::Ask));
            }
        };
        writeln!(self.bench.out)?;
        match self.bench.run(&action) {
            Ok(_) => {}
            Err(Failure::Output(error)) => return Err(error),
            Err(failure) => writeln!(self.bench.out, "  error: {failure}")?,
        }
        let command = action.command(&self.bench.target);
        writeln!(self.bench.out, "  the same by command: {command}")?;
        Ok(Some(Next::Ask))
    }

    /// `false` when the input ended. The old target stays until all three are answered.
    fn set_target(&mut self, given: &mut Given) -> io::Result<bool> {
        let mut target = self.bench.target.clone();
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port @ 1..) => Ok(port),
            _ => Err(format!("a port is a number from 1 to 65535, not {text:?}")),
        };
        let host = self.ask("address or name", &target.host.clone(), given, |text| {
            let host = text
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            let target = Target {
                host,
                ..Target::default()
            };
            match target.endpoint(Service::Tcp).resolve() {
                Ok(_) => Ok(target.host),
                Err(error) => Err(error.to_string()),
            }
        })?;
        let Some(host) = host else { return Ok(false) };
        target.host = host;
        let Some(tcp_port) = self.ask("TCP port", &target.tcp_port, given, port)? else {
            return Ok(false);
        };
        target.tcp_port = tcp_port;
        let Some(udp_port) = self.ask("UDP port", &target.udp_port, given, port)? else {
            return Ok(false);
        };
        target.udp_port = udp_port;
        writeln!(self.bench.out, "  target {}", describe(&target))?;
        let command = Action::Menu.command(&target);
        writeln!(self.bench.out, "  the same by command: {command}")?;
        self.bench.target = target;
        Ok(true)
    }

    fn ask_udp(&mut self, given: &mut Given) -> io::Result<Option<udp::Plan>> {
        let plan = udp::Plan::default();
        let plan = self.ask("packets", &plan.packets(), given, |text| {
            let packets = number(text)?;
            plan.with_packets(packets)
                .map_err(|error| error.to_string())
        })?;
        let Some(plan) = plan else { return Ok(None) };
        self.ask("payload in bytes", &plan.payload(), given, |text| {
            let payload = number(text)?;
            plan.with_payload(payload)
                .map_err(|error| error.to_string())
        })
    }

    fn browser(&mut self) -> io::Result<()> {
        let tcp = self.bench.target.endpoint(Service::Tcp);
        let authority = tcp.authority();
        write!(
            self.bench.out,
            "
Browser mode: open http://{authority}/ with the browser's developer tools (F12)
on their network tab, and watch the Cache-Status field of each answer.
  - The first load is a MISS: proxyd logs it, and webserverd logs the request.
  - The second, in another window, is a HIT: proxyd logs it, webserverd nothing.
  - Reload with Shift held: the browser sends Cache-Control: no-cache, and the
    proxy asks the server again.
  - Stop webserverd: in a new window, what the cache holds still comes from it, for
    a day even when it is stale; what it does not hold is 502 Bad Gateway.
  the same by command: curl -I http://{authority}/
"
        )
    }

    /// A plan as it is, or with what stands behind the key; `None` when that does not fit.
    fn taken<P, E: Display>(
        &mut self,
        given: &mut Given,
        plan: P,
        with: impl FnOnce(P, &str) -> Result<P, E>,
    ) -> io::Result<Option<P>> {
        let Some(text) = given.pop_front() else {
            return Ok(Some(plan));
        };
        match with(plan, &text) {
            Ok(plan) => Ok(Some(plan)),
            Err(reason) => {
                writeln!(self.bench.out, "  {reason}")?;
                Ok(None)
            }
        }
    }

    /// Asks until the answer fits; an empty answer is the default shown. `None` at the end of the
    /// input.
    fn ask<T>(
        &mut self,
        question: &str,
        default: &dyn Display,
        given: &mut Given,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> io::Result<Option<T>> {
        let prompt = format!("  {question} [{default}]: ");
        let default = default.to_string();
        loop {
            let Some(line) = self.line(&prompt, given)? else {
                return Ok(None);
            };
            let answer = match line.trim() {
                "" => &default,
                answer => answer,
            };
            match parse(answer) {
                Ok(value) => return Ok(Some(value)),
                Err(reason) => {
                    writeln!(self.bench.out, "  {reason}")?;
                    // What else stood on the line was meant for other questions.
                    given.clear();
                }
            }
        }
    }

    /// The next answer: from the line of the key while it lasts, then from the input.
    fn line(&mut self, prompt: &str, given: &mut Given) -> io::Result<Option<String>> {
        write!(self.bench.out, "{prompt}")?;
        self.bench.out.flush()?;
        let (line, shown_already) = match given.pop_front() {
            Some(word) => (word, false),
            None => match self.read_line()? {
                Some(line) => (line, !self.echo),
                None => return Ok(None),
            },
        };
        if !shown_already {
            writeln!(self.bench.out, "{}", line.escape_debug())?;
        }
        Ok(Some(line))
    }

    /// A line without its end, cut at [`MAX_ANSWER_BYTES`]; `None` at the end of the input.
    fn read_line(&mut self) -> io::Result<Option<String>> {
        let line = self.read_piece()?;
        let mut piece_len = line.len();
        let mut ended = line.is_empty() || line.ends_with(b"\n");
        while piece_len == MAX_ANSWER_BYTES && !ended {
            let piece = self.read_piece()?;
            piece_len = piece.len();
            ended = piece.ends_with(b"\n");
        }
        if line.is_empty() {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line);
        Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// What is left of the line, but not more than fits an answer.
    fn read_piece(&mut self) -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        let mut bounded = (&mut *self.input).take(MAX_ANSWER_BYTES as u64);
        bounded.read_until(b'\n', &mut piece)?;
        Ok(piece)
    }

    fn bye(&mut self) -> io::Result<()> {
        writeln!(self.bench.out, "\nend of input")
    }
}

fn describe(target: &Target) -> String {
    let Target {
        host,
        tcp_port,
        udp_port,
    } = target;
    format!("{host}, TCP {tcp_port}, UDP {udp_port}")
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no whole number from 0 up"))
}

//! A file of prefixes and the systems that announce them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::written;

/// No table is longer; all of the Internet's routes are about 60 MB.
const LONGEST_FILE: u64 = 512 << 20;

/// Prefixes by version, length and leading bits.
#[derive(Debug, Default)]
pub(super) struct Table(HashMap<(bool, u8, u128), String>);

impl Table {
    /// Reads "PREFIX/LENGTH AS" or CAIDA's "PREFIX LENGTH AS" lines; `#` begins a remark.
    pub(super) fn read(path: &Path) -> Result<Table> {
        let name = path.display();
        let file = File::open(path).with_context(|| format!("{name}"))?;
        let mut table = Table::default();
        for (at, line) in BufReader::new(file.take(LONGEST_FILE)).lines().enumerate() {
            let line = line.with_context(|| format!("{name}"))?;
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            match entry(line) {
                Some((key, systems)) => table.0.insert(key, systems),
                None => bail!(
                    "{name}, line {}: a line such as \"192.0.2.0/24 64496\" is needed",
                    at + 1
                ),
            };
        }
        Ok(table)
    }

    /// The systems of the longest prefix that the address is in.
    pub(super) fn origins(&self, address: IpAddr) -> Option<String> {
        let (is_v6, bits, longest) = bits(address);
        (0..=longest)
            .rev()
            .find_map(|len| self.0.get(&(is_v6, len, leading(bits, len))))
            .cloned()
    }
}

fn entry(line: &str) -> Option<((bool, u8, u128), String)> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let (prefix, len) = match first.split_once('/') {
        Some(parts) => parts,
        None => (first, words.next()?),
    };
    let (is_v6, bits, longest) = bits(prefix.parse().ok()?);
    let len = len.parse().ok().filter(|len| *len <= longest)?;
    // CAIDA writes several origins as "1_2" and sets as "1,2".
    let numbers = words.next()?.split(['_', ',', '/']);
    let systems = written(numbers.map(|number| number.trim_start_matches("AS")))?;
    Some(((is_v6, len, leading(bits, len)), systems))
}

/// Version, address at the top of 128 bits, and how many of them count.
fn bits(address: IpAddr) -> (bool, u128, u8) {
    match address {
        IpAddr::V4(address) => (false, u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (true, address.to_bits(), 128),
    }
}

const fn leading(bits: u128, len: u8) -> u128 {
    match len {
        0 => 0,
        len => bits >> (128 - len as u32),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn the_longest_prefix_counts() {
        let mut text = String::from("# remarks\n10.0.0.0/8 64496\n\n");
        text.push_str("10.1.0.0\t16\t64497_64498\n10.1.2.0/24 AS64499 # more\n");
        text.push_str("2001:db8::/32 64500\n");
        let mut table = Table::default();
        for line in text
            .lines()
            .filter_map(|line| entry(line.split('#').next()?))
        {
            table.0.insert(line.0, line.1);
        }
        let mut told = String::new();
        for address in [
            "10.9.9.9",
            "10.1.9.9",
            "10.1.2.3",
            "2001:db8::1",
            "192.0.2.1",
            "::1",
        ] {
            let origins = table.origins(address.parse().unwrap());
            writeln!(told, "{}", origins.as_deref().unwrap_or("-")).unwrap();
        }
        assert_eq!(told, "AS64496\nAS64497/AS64498\nAS64499\nAS64500\n-\n-\n");
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for line in [
            "10.0.0.0/33 1",
            "10.0.0.0/8",
            "10.0.0.0/8 x",
            "x/8 1",
            "10.0.0.0 1",
        ] {
            assert_eq!(entry(line), None, "{line}");
        }
    }
}

//! The extension headers of an IPv6 packet (RFC 8200 §4), which may be cut off anywhere.
//!
//! etherparse finds where they end; its iterator over them is not to be used on headers that may be
//! cut off, of which it reads beyond the end.

/// A fragment header (RFC 8200 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Where its part of the datagram begins, in units of eight bytes.
    pub offset: u16,
    /// The same for all fragments of a datagram; `None` when it is cut off.
    pub identification: Option<u32>,
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// The fragment header among the extension headers, the first of which is of the kind that
/// `next_header` says; `None` when there is none as far as they go.
pub fn fragment(next_header: u8, headers: &[u8]) -> Option<Fragment> {
    let (mut kind, mut rest) = (next_header, headers);
    loop {
        let [next, length, low, high] = *rest.first_chunk()?;
        let length = usize::from(length);
        let length = match kind {
            FRAGMENT => {
                let identification = rest.get(4..).and_then(|rest| rest.first_chunk());
                return Some(Fragment {
                    // Two reserved bits and that of more fragments stand below it.
                    offset: u16::from_be_bytes([low, high]) >> 3,
                    identification: identification.copied().map(u32::from_be_bytes),
                });
            }
            // In units of four bytes, less two of them (RFC 4302 §2.2).
            AUTHENTICATION => 4 * (length + 2),
            // In units of eight bytes, less the first.
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY | HIP | SHIM6 => 8 * (length + 1),
            _ => return None,
        };
        (kind, rest) = (next, rest.get(length..)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragment_header_is_found_behind_others_and_never_beyond_the_end() {
        // Offset 60 times eight bytes, more fragments; identification 9. Before it: destination
        // options of 8 bytes, an authentication header of 12 (RFC 4302: length 1), routing of 16.
        let own = [17, 0, 0x01, 0xe1, 0, 0, 0, 9];
        let found = Some(Fragment {
            offset: 60,
            identification: Some(9),
        });
        let options = [44, 0, 1, 4, 0, 0, 0, 0];
        let authentication = [60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let routing = [51, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let all = [&routing[..], &authentication, &options, &own].concat();
        for (kind, headers, expected) in [
            (FRAGMENT, &own[..], found),
            (ROUTING, &all, found),
            (17, &own, None),
            (ROUTING, &[], None),
        ] {
            assert_eq!(fragment(kind, headers), expected, "{kind} {headers:?}");
        }
        let whole = all.len();
        for cut in 0..whole {
            let expected = (cut >= whole - 4).then_some(Fragment {
                offset: 60,
                identification: None,
            });
            assert_eq!(fragment(ROUTING, &all[..cut]), expected, "{cut}");
        }
        // One that says it is longer than what is there.
        assert_eq!(fragment(HOP_BY_HOP, &[44, 255, 0, 0, 0, 0, 0, 0]), None);
    }
}

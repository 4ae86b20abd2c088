//! What a client wants, of several things that could be sent (RFC 9110 §12): media types and
//! content codings, each with its weight.

use super::fields::Fields;
use super::grammar::trim_blanks;

/// How much something is wanted, in thousandths: 0 is not at all, 1000 is most (RFC 9110 §12.4.2).
pub type Weight = u16;

/// The weight of what is not weighted.
const MOST: Weight = 1000;

/// The weights that the Accept-Encoding fields give to the content codings `names`, each its own or
/// that of `*` if they do not name it; `None` if they say nothing about it. `identity` without a
/// weight is acceptable, another coding is not (RFC 9110 §12.5.3).
pub fn codings<const N: usize>(fields: &Fields<'_, '_>, names: [&str; N]) -> [Option<Weight>; N] {
    let mut weights = [None; N];
    let mut of_all = None;
    for (coding, weight) in weighted(fields, "accept-encoding") {
        if coding == b"*" {
            of_all = of_all.or(Some(weight));
        } else if let Some(at) = names.iter().position(|name| is_coding(coding, name)) {
            weights[at] = weights[at].or(Some(weight));
        }
    }
    weights.map(|weight| weight.or(of_all))
}

/// Whether `sent` names the coding `name`. Two have an older name beside (RFC 9110 §8.4.1).
fn is_coding(sent: &[u8], name: &str) -> bool {
    let sent = match sent {
        [b'x' | b'X', b'-', rest @ ..]
            if rest.eq_ignore_ascii_case(b"gzip") || rest.eq_ignore_ascii_case(b"compress") =>
        {
            rest
        }
        _ => sent,
    };
    sent.eq_ignore_ascii_case(name.as_bytes())
}

/// The weight that the Accept fields give to the media type `kind/subtype`: that of the range that
/// names it most closely, 0 if none does. Without such a field everything is wanted most (RFC 9110
/// §12.5.1). Parameters other than the weight are not compared.
pub fn media_type(fields: &Fields<'_, '_>, kind: &str, subtype: &str) -> Weight {
    if fields.first("accept").is_none() {
        return MOST;
    }
    let mut best = (0, 0);
    for (range, weight) in weighted(fields, "accept") {
        let Some(slash) = range.iter().position(|&byte| byte == b'/') else {
            continue;
        };
        let (of_kind, of_subtype) = (&range[..slash], &range[slash + 1..]);
        let names_kind = of_kind.eq_ignore_ascii_case(kind.as_bytes());
        let closeness = match (of_kind, of_subtype) {
            (b"*", b"*") => 1,
            (_, b"*") if names_kind => 2,
            _ if names_kind && of_subtype.eq_ignore_ascii_case(subtype.as_bytes()) => 3,
            _ => continue,
        };
        if closeness > best.0 {
            best = (closeness, weight);
        }
    }
    best.1
}

/// The members of the list `name`, each with its weight. One whose weight is malformed is passed
/// over.
fn weighted<'b>(fields: &Fields<'_, 'b>, name: &str) -> impl Iterator<Item = (&'b [u8], Weight)> {
    fields.members(name).filter_map(|member| {
        let mut parameters = member.split(|&byte| byte == b';').map(trim_blanks);
        let value = parameters.next()?;
        let weight = parameters.find_map(|parameter| match parameter {
            [b'q' | b'Q', b'=', weight @ ..] => Some(weight),
            _ => None,
        });
        Some((value, weight.map_or(Some(MOST), parse_weight)?))
    })
}

/// `qvalue` of RFC 9110 §12.4.2: 0 or 1, with up to three digits behind the point.
fn parse_weight(text: &[u8]) -> Option<Weight> {
    let (whole, digits) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut weight = Weight::from(whole - b'0');
    for place in 0..3 {
        let digit = digits.get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        weight = weight * 10 + Weight::from(digit - b'0');
    }
    (weight <= MOST).then_some(weight)
}

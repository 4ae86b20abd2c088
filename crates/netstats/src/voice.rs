//! What a path would do to a telephone call: the E-model of ITU-T G.107.
//!
//! Only delay and loss are measured; every other input of the model has its default value
//! (G.107 Table 2), and echo is taken as cancelled. Then `R = 93.2 − Idd − Ie,eff`.

use std::time::Duration;

/// R with all inputs at their defaults, no delay and no loss (G.107 §7.7).
const R_DEFAULT: f64 = 93.2;

/// What a codec makes of loss (ITU-T G.113 Appendix I).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Codec {
    /// As it is named in G.113.
    pub name: &'static str,
    /// Equipment impairment without loss.
    pub ie: f64,
    /// Packet-loss robustness.
    pub bpl: f64,
}

/// G.711 with its packet-loss concealment: no impairment of its own. The Bpl is that of G.113's table
/// for random loss in packets of 10 ms.
pub const G711_PLC: Codec = Codec {
    name: "G.711 with packet-loss concealment",
    ie: 0.0,
    bpl: 25.1,
};

/// The transmission rating R, 0 to 100: a call over a path with this one-way `delay`, and with
/// `loss_pct` packets of a hundred lost in runs `burst_ratio` times as long as chance would have
/// them (see [`burst_ratio`]).
///
/// `None` when the loss is not within 0…100 or the ratio is not positive.
pub fn r_factor(delay: Duration, loss_pct: f64, burst_ratio: f64, codec: Codec) -> Option<f64> {
    let possible =
        (0.0..=100.0).contains(&loss_pct) && burst_ratio.is_finite() && burst_ratio > 0.0;
    if !possible {
        return None;
    }
    let impairment = effective_equipment_impairment(loss_pct, burst_ratio, codec);
    Some((R_DEFAULT - delay_impairment(delay) - impairment).clamp(0.0, 100.0))
}

/// Idd, the impairment by absolute delay alone (G.107 §7.4): nothing up to 100 ms one way.
fn delay_impairment(delay: Duration) -> f64 {
    let x = (delay.as_secs_f64() * 10.0).log2();
    if x <= 0.0 {
        return 0.0;
    }
    let root = |base: f64| (1.0 + base.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

/// Ie,eff (G.107 §7.5).
fn effective_equipment_impairment(loss_pct: f64, burst_ratio: f64, codec: Codec) -> f64 {
    codec.ie + (95.0 - codec.ie) * loss_pct / (loss_pct / burst_ratio + codec.bpl)
}

/// BurstR (G.107 §7.5): the mean run of losses, by the mean run that independent losses of the
/// same rate would make, `1/(1 − loss)`. At least 1: losses spaced more evenly than chance would
/// space them are taken as random. 1 without a loss, and where all is lost.
pub fn burst_ratio(loss_pct: f64, mean_run: Option<f64>) -> f64 {
    let ratio = mean_run.unwrap_or(1.0) * (1.0 - loss_pct / 100.0);
    if ratio.is_finite() {
        ratio.max(1.0)
    } else {
        1.0
    }
}

/// The mean opinion score that belongs to R, 1 to 4.5 (G.107 Annex B).
pub fn mos(r: f64) -> f64 {
    if r <= 0.0 {
        return 1.0;
    }
    if r >= 100.0 {
        return 4.5;
    }
    // Between 0 and 6.5 the polynomial falls below 1, the worst that there is.
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn r(delay_ms: u64, loss_pct: f64, burst_ratio: f64) -> f64 {
        let delay = Duration::from_millis(delay_ms);
        r_factor(delay, loss_pct, burst_ratio, G711_PLC).unwrap()
    }

    #[test]
    #[expect(clippy::similar_names, reason = "the symbols of the recommendation")]
    fn the_rating_without_delay_and_loss_is_that_of_all_the_formulas_at_their_defaults() {
        // G.107 §7.2 to §7.4 with the defaults of Table 2: loudness ratings in dB, noise in dBm0p
        // and dB(A), no delay anywhere, one quantizing distortion unit.
        let (slr, rlr, olr) = (8.0, 2.0, 10.0);
        let (stmr, dr, ds, telr, wepl) = (15.0_f64, 3.0, 3.0, 65.0_f64, 110.0);
        let (nc, nfor, ps, pr) = (-70.0_f64, -64.0, 35.0, 35.0);
        let power = |db: f64| 10_f64.powf(db / 10.0);
        let db = |power: f64| 10.0 * power.log10();
        let nos = ps - slr - ds - 100.0 + 0.004 * (ps - olr - ds - 14.0_f64).powi(2);
        let pre = pr + db(1.0 + power(10.0 - (stmr + dr)));
        let nor = rlr - 121.0 + pre + 0.008 * (pre - 35.0_f64).powi(2);
        let no = db(power(nc) + power(nos) + power(nor) + power(nfor + rlr));
        let ro = 15.0 - 1.5 * (slr + no);
        assert!((ro - 94.77).abs() < 0.005, "{ro}");

        let knee = |x: f64, n: i32| (1.0 + x.powi(n)).powf(1.0 / f64::from(n));
        let xolr = olr + 0.2 * (64.0 + no - rlr);
        let too_loud = 20.0 * (knee(xolr / 8.0, 8) - xolr / 8.0);
        let stmr_o = -db(power(-stmr) + power(-telr));
        let sidetone = 12.0 * knee((stmr_o - 13.0) / 6.0, 8)
            - 28.0 * knee((stmr_o + 1.0) / 19.4, 35)
            - 13.0 * knee((stmr_o - 3.0) / 33.0, 13)
            + 29.0;
        let g = 1.07 + 0.258 * 37.0 + 0.0602 * 37.0 * 37.0;
        let (y, z) = (
            (ro - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0,
            46.0 / 30.0 - g / 40.0,
        );
        let quantizing = 15.0 * (1.0 + 10_f64.powf(y) + 10_f64.powf(z)).log10();
        // Listener echo; talker echo and absolute delay take nothing where there is no delay.
        let apart = ro - 10.5 * (wepl + 7.0);
        let listener_echo = apart / 2.0 + (apart * apart / 4.0 + 169.0).sqrt();

        let r = ro - (too_loud + sidetone + quantizing) - listener_echo;
        assert!((r - R_DEFAULT).abs() < 0.01, "{r}");
    }

    #[test]
    fn the_score_is_that_of_table_b_1() {
        // G.107 Table B.1: the lower limits of its categories, which it rounds up; 93.2 is the
        // default of the model, with its published 4.41.
        for (r, expected) in [
            (90.0, 4.34),
            (80.0, 4.03),
            (70.0, 3.60),
            (60.0, 3.10),
            (50.0, 2.58),
            (93.2, 4.41),
            (-3.0, 1.0),
            (3.0, 1.0),
            (100.0, 4.5),
        ] {
            let mos = mos(r);
            assert!((mos - expected).abs() < 0.0075, "{r}: {mos}");
        }
    }

    #[test]
    fn delay_and_loss_take_away_what_the_recommendation_says() {
        // By hand. 150 ms: X = 0.58496, Idd = 25(1.006569 − 3.000027 + 2) = 0.1635.
        // 400 ms: X = 2, Idd = 25(65^(1/6) − 3(1 + 64/729)^(1/6) + 2) = 24.070.
        // 5 % random: 95·5/(5 + 25.1) = 15.781; in runs of twice the length
        // 95·5/(2.5 + 25.1) = 17.210.
        for (delay_ms, loss_pct, burst_ratio, expected) in [
            (0, 0.0, 1.0, 93.2),
            (100, 0.0, 1.0, 93.2),
            (150, 0.0, 1.0, 93.036),
            (400, 0.0, 1.0, 69.130),
            (20, 5.0, 1.0, 77.419),
            (20, 5.0, 2.0, 75.990),
            (20, 100.0, 1.0, 17.260),
        ] {
            let r = r(delay_ms, loss_pct, burst_ratio);
            assert!(
                (r - expected).abs() < 2e-3,
                "{delay_ms} ms, {loss_pct} %, ×{burst_ratio}: {r}"
            );
        }
    }

    #[test]
    fn the_burst_ratio_is_one_for_losses_by_chance() {
        // 20 % by chance make runs of 1/0.8 = 1.25; runs of 2.5 are twice that.
        for (loss_pct, mean_run, expected) in [
            (0.0, None, 1.0),
            (20.0, Some(1.25), 1.0),
            (20.0, Some(2.5), 2.0),
            (20.0, Some(1.0), 1.0),
            (100.0, Some(20.0), 1.0),
        ] {
            let ratio = burst_ratio(loss_pct, mean_run);
            assert!((ratio - expected).abs() < 1e-12, "{loss_pct} {mean_run:?}");
        }
    }

    #[test]
    fn what_is_no_share_has_no_rating() {
        for (loss_pct, burst_ratio) in [(-1.0, 1.0), (101.0, 1.0), (f64::NAN, 1.0), (1.0, 0.0)] {
            assert_eq!(
                r_factor(Duration::ZERO, loss_pct, burst_ratio, G711_PLC),
                None
            );
        }
    }
}

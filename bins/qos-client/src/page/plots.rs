//! The drawings, as SVG. Colours stand for roles; the page's style sheet gives each role its colour
//! on light and on dark ground.

use plotters::coord::Shift;
use plotters::prelude::*;

/// What the style sheet knows them by: `fill="#..."` and `stroke="#..."`.
const INK: RGBColor = RGBColor(0x11, 0x11, 0x11);
const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);
const FIRST: RGBColor = RGBColor(0x1F, 0x5F, 0xBF);
const SECOND: RGBColor = RGBColor(0xB3, 0x6B, 0x00);
pub(super) const LOSS: RGBColor = RGBColor(0xC6, 0x28, 0x28);

const SIZE: (u32, u32) = (860, 300);
/// Columns into which points are gathered: of each, the lowest and the highest are drawn.
const COLUMNS: usize = 800;
/// Steps of a distribution that are drawn.
const STEPS: usize = 800;
/// Losses drawn one by one; of more, one in each column is drawn.
pub(super) const MAX_MARKS: usize = 4000;
/// Bars of a chart; what is beyond is gathered in the last.
pub(super) const MAX_BARS: usize = 40;

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// `(x, y)`.
pub(super) type Point = (f64, f64);

/// Words on the axes.
pub(super) struct Axes {
    pub(super) title: &'static str,
    pub(super) x: &'static str,
    pub(super) y: &'static str,
}

/// Values over time as dots, a running figure as a line, and losses as marks from the ground up.
pub(super) fn over_time(
    axes: &Axes,
    dots: &[Point],
    line: &[Point],
    losses: &[f64],
) -> Result<String, String> {
    let xs = dots.iter().map(|dot| dot.0).chain(losses.iter().copied());
    let right = above(xs);
    let top = above(dots.iter().chain(line).map(|point| point.1));
    svg(axes, |area| {
        let mut chart = framed(area).build_cartesian_2d(0.0..right, 0.0..top)?;
        mesh!(chart, axes);
        let dot = |&point| Circle::new(point, 2, FIRST.filled());
        chart.draw_series(thinned(dots, right).iter().map(dot))?;
        chart.draw_series(LineSeries::new(
            thinned(line, right),
            SECOND.stroke_width(2),
        ))?;
        let mark = |x: f64| PathElement::new([(x, 0.0), (x, top / 12.0)], LOSS.stroke_width(2));
        chart.draw_series(marks(losses, right).into_iter().map(mark))?;
        Ok(())
    })
}

/// The share of values that are no larger than x, of one or two sets.
pub(super) fn distribution(axes: &Axes, first: &[f64], second: &[f64]) -> Result<String, String> {
    let right = above(first.iter().chain(second).copied());
    svg(axes, |area| {
        let mut chart = framed(area).build_cartesian_2d(0.0..right, 0.0..100.0)?;
        mesh!(chart, axes);
        for (values, colour) in [(first, FIRST), (second, SECOND)] {
            chart.draw_series(LineSeries::new(
                steps(values, right),
                colour.stroke_width(2),
            ))?;
        }
        Ok(())
    })
}

/// A bar for each number, at 1, 2, 3, …
pub(super) fn bars(axes: &Axes, heights: &[f64], loss: bool) -> Result<String, String> {
    let colour = if loss { LOSS } else { FIRST };
    let right = heights.len().max(1) as f64 + 0.5;
    svg(axes, |area| {
        let mut chart =
            framed(area).build_cartesian_2d(0.5..right, 0.0..above(heights.iter().copied()))?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(("sans-serif", 13).into_font().color(&INK))
            .x_labels(heights.len().min(20))
            .x_label_formatter(&|x| format!("{x:.0}"))
            .x_desc(axes.x)
            .y_desc(axes.y)
            .draw()?;
        let bar = |(at, height): (usize, &f64)| {
            let x = at as f64 + 1.0;
            Rectangle::new([(x - 0.35, 0.0), (x + 0.35, *height)], colour.filled())
        };
        chart.draw_series(heights.iter().enumerate().map(bar))?;
        Ok(())
    })
}

fn framed<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut chart = ChartBuilder::on(area);
    chart.margin(10).x_label_area_size(42).y_label_area_size(64);
    chart
}

/// The grid, the numbers and the words; a macro since the chart's type is longer than this.
macro_rules! mesh {
    ($chart:expr, $axes:expr) => {
        $chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(("sans-serif", 13).into_font().color(&INK))
            .x_desc($axes.x)
            .y_desc($axes.y)
            .draw()?
    };
}
use mesh;

/// A drawing as an element of a page: it names itself to those who do not see it, and takes the
/// width it is given.
fn svg(axes: &Axes, draw: impl FnOnce(&Area<'_>) -> Drawn<'static>) -> Result<String, String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        draw(&area).map_err(|error| error.to_string())?;
        area.present().map_err(|error| error.to_string())?;
    }
    let (_, body) = text.split_once('>').unwrap_or_default();
    let (width, height) = SIZE;
    let title = axes.title;
    Ok(format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">{body}"
    ))
}

/// A little above the largest, and above zero.
fn above(values: impl Iterator<Item = f64>) -> f64 {
    let largest = values.fold(0.0, f64::max);
    if largest > 0.0 { largest * 1.05 } else { 1.0 }
}

fn column(x: f64, right: f64, columns: usize) -> usize {
    ((x / right * columns as f64) as usize).min(columns - 1)
}

/// All points, or of each column the lowest and the highest, so that no extreme is lost.
fn thinned(points: &[Point], right: f64) -> Vec<Point> {
    if points.len() <= 2 * COLUMNS {
        return points.to_vec();
    }
    let mut extremes: Vec<Option<(Point, Point)>> = vec![None; COLUMNS];
    for &point in points {
        if let Some(place) = extremes.get_mut(column(point.0, right, COLUMNS)) {
            let (low, high) = place.get_or_insert((point, point));
            if point.1 < low.1 {
                *low = point;
            }
            if point.1 > high.1 {
                *high = point;
            }
        }
    }
    let pairs = extremes.into_iter().flatten();
    pairs.flat_map(|(low, high)| [low, high]).collect()
}

/// All losses, or one of each column.
fn marks(losses: &[f64], right: f64) -> Vec<f64> {
    let mut losses = losses.to_vec();
    losses.sort_by(f64::total_cmp);
    if losses.len() > MAX_MARKS {
        losses.dedup_by_key(|x| column(*x, right, COLUMNS));
    }
    losses
}

/// From 0 % at the smallest to 100 % at the largest, a step at each value or at evenly many.
fn steps(values: &[f64], right: f64) -> Vec<Point> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let stride = n.div_ceil(STEPS).max(1);
    let mut steps = Vec::new();
    let mut share = 0.0;
    for (at, &value) in values.iter().enumerate() {
        if at % stride == 0 || at + 1 == n {
            steps.push((value, share));
            share = (at + 1) as f64 * 100.0 / n as f64;
            steps.push((value, share));
        }
    }
    if n > 0 {
        steps.push((right, 100.0));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_extremes_of_many_points() {
        let mut points: Vec<Point> = (0..100_000).map(|n| (f64::from(n), 5.0)).collect();
        points[77_777].1 = 900.0;
        points[12_345].1 = 0.5;
        let thin = thinned(&points, 100_000.0);
        assert!(thin.len() <= 2 * COLUMNS);
        assert!(thin.contains(&(77_777.0, 900.0)) && thin.contains(&(12_345.0, 0.5)));
    }

    #[test]
    fn a_distribution_rises_by_its_share_at_each_value() {
        assert_eq!(
            steps(&[3.0, 1.0], 4.0),
            [
                (1.0, 0.0),
                (1.0, 50.0),
                (3.0, 50.0),
                (3.0, 100.0),
                (4.0, 100.0)
            ]
        );
        assert!(steps(&[], 1.0).is_empty());
        let many: Vec<f64> = (0..10_000).map(f64::from).collect();
        assert!(steps(&many, 1.0).len() <= 2 * STEPS + 3);
    }

    #[test]
    fn a_flood_of_losses_is_drawn_within_bounds_and_a_few_one_by_one() {
        let many: Vec<f64> = (0..50_000).map(f64::from).collect();
        assert_eq!(marks(&many, 50_000.0).len(), COLUMNS);
        assert_eq!(marks(&many[..100], 50_000.0).len(), 100);
    }
}

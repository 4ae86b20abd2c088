//! The man page says what `--help` says.

#[test]
fn the_committed_man_page_is_that_of_the_flags() {
    let sections = include_str!("../man/sections.roff");
    let description = include_str!("../man/description.roff");
    testkit::man::check(traceroute::args::command(), description, sections)
        .unwrap_or_else(|why| panic!("{why}"));
}

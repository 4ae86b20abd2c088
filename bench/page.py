"""The page of results, docs/performance.md: each script writes the section that is its own."""

import contextlib
import datetime
import io
import os
import shlex
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def add_option(parser):
    parser.add_argument(
        "--write", action="store_true", help=f"also put the tables into docs/{PAGE.name}"
    )


@contextlib.contextmanager
def section(title, script, wanted):
    """Prints as ever; what is printed while the block runs becomes the section of that title, if it is
    wanted and the block comes to its end."""
    if not wanted:
        yield
        return
    if f"\n## {title}\n" not in PAGE.read_text():
        sys.exit(f"{script}: {PAGE} has no section '{title}'")
    today = datetime.date.today()
    command = f"{script} {shlex.join(sys.argv[1:])}"
    with contextlib.redirect_stdout(Both(sys.stdout)) as both:
        print(f"On {today.day} {today:%B %Y}, `{command}`.\n")
        yield
    replace(title, both.kept.getvalue())


class Both:
    """Standard output, and a copy of what goes there."""

    def __init__(self, shown):
        self.shown, self.kept = shown, io.StringIO()

    def write(self, text):
        self.kept.write(text)
        return self.shown.write(text)

    def flush(self):
        self.shown.flush()


def replace(title, text):
    before, after = PAGE.read_text().split(f"\n## {title}\n", 1)
    # The next heading of this level begins what is somebody else's.
    _, mark, rest = after.partition("\n## ")
    new = PAGE.with_suffix(".new")
    new.write_text(f"{before}\n## {title}\n\n{text.strip()}\n{mark}{rest}")
    os.replace(new, PAGE)

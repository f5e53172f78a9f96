"""The differences that are meant, as docs/developer/differences.md tells them to people; one section of it at a time.

A point is `- REASON`, and below it, indented, `- CONDITIONS: STEPS`: steps in backticks with `*` for anything, conditions
`JupyterHub STATUS`, `Lyceum STATUS`, `body`, `headers`, `status`, `cookie NAME WHAT` with `*` for anything, or `seen at`
where there are none. What is said of cookies is always named.
"""

import fnmatch
import re
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/developer/differences.md"
PARTS = ("status", "headers", "body")
PLACE = re.compile(r"^  - ([^`]*): (`.*`)$")
STATUS = re.compile(r"^(JupyterHub|Lyceum) (\d+)$")


class Known:
    """The points of a section, and which of them were seen."""

    def __init__(self, section):
        self.section = section
        self.places = list(read(PAGE.read_text(), section))
        self.seen = set()

    def covers(self, step, part=None, theirs=None, ours=None):
        """`theirs`, `ours`: the statuses of the answers, where there are any."""
        found = False
        for number, (_, statuses, parts, pattern) in enumerate(self.places):
            given = {"JupyterHub": theirs, "Lyceum": ours}
            fits = fnmatch.fnmatchcase(step, pattern) and is_among(part, parts or PARTS)
            if fits and all(given[side] == status for side, status in statuses.items()):
                self.seen.add(number)
                found = True
        return found

    def unseen(self):
        for number, (reason, _, _, pattern) in enumerate(self.places):
            if number not in self.seen:
                yield f"{PAGE.name}, {self.section}: no longer seen: {pattern}: {reason}"


def is_among(part, parts):
    return part is None or any(fnmatch.fnmatchcase(part, one) for one in parts)


def read(page, section):
    """Each step with the reason and the conditions above it."""
    reason, inside, some = None, False, False
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("## "):
            inside = line == f"## {section}"
            reason = None
        elif inside and line.startswith("- "):
            reason = line.removeprefix("- ")
        elif inside and line.startswith("  "):
            place = PLACE.match(line)
            if not place or not reason:
                sys.exit(f"{PAGE}:{number}: this is no place of a difference: {line}")
            statuses, parts = conditions(place[1], number)
            for step in place[2].split("`")[1::2]:
                some = True
                yield reason, statuses, parts, step
    if not some:
        sys.exit(f"{PAGE}: there is no section {section!r} with places of differences")


def conditions(text, number):
    statuses, parts = {}, set()
    for word in text.split(", "):
        if status := STATUS.match(word):
            statuses[status[1]] = int(status[2])
        elif word in PARTS or word.startswith("cookie "):
            parts.add(word)
        elif word != "seen at":
            sys.exit(f"{PAGE}:{number}: what is {word!r}? A status of JupyterHub or Lyceum, {', '.join(PARTS)}, `cookie NAME WHAT` or `seen at`")
    return statuses, parts

"""What log.txt says of a run: how long its stages took, and its warnings."""
import os
import re

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (.*)")
DONE = re.compile(r"(\w+) done in (.*?)(?:  (.*))?$")


class Timing:
    """Of a stage: words about it, and a table by section: columns, rows of as many texts."""

    def __init__(self, stage, took, detail):
        self.stage, self.took, self.detail = stage, took, detail or ""
        self.columns, self.ends, self.rows = [], [], []

    def head(self, line):
        found = list(re.finditer(r"\S+(?: \S+)*", line))
        self.columns, self.ends = [m.group() for m in found], [m.end() for m in found]

    def row(self, line):
        """Every text under the column whose end is nearest: some rows have no value in some."""
        row = [""] * len(self.columns)
        first, *others = re.finditer(r"\S+(?: \S+)*", line)
        row[0] = first.group()
        for text in others:
            row[min(range(1, len(row)), key=lambda k: abs(self.ends[k] - text.end()))] = text.group()
        self.rows.append(row)


def lines_of(folder):
    try:
        with open(os.path.join(folder, "log.txt"), encoding="utf-8", errors="replace") as file:
            return [found.group(1) for found in map(LINE.match, file.read().splitlines()) if found]
    except OSError:
        return []


def timings(lines):
    """The last of every stage, in order."""
    found, last, inside = {}, None, False
    for line in lines:
        done = DONE.match(line)
        if done:
            last, inside = Timing(*done.groups()), False
            found.pop(last.stage, None)
            found[last.stage] = last
        elif last and not last.rows and line.startswith("section"):
            last.head(line)
            inside = len(last.columns) > 1
        elif inside:
            last.row(line)
            inside = not line.startswith("total")
    return list(found.values())


def warnings(lines):
    """Warnings and errors, each once, in order."""
    said = [re.sub(r"^(epflow: )?", "", line) for line in lines if re.match(r"(epflow: )?(warning|error): ", line)]
    return list(dict.fromkeys(said))

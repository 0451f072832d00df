"""Parts of a page in HTML. Texts are escaped here, and here alone; Html is what is so already."""
import html
import os

import numpy as np

from plots.style import number, whole, with_error


class Html(str):
    """Text with marks."""


def escaped(value):
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def tag(name, *inside, **attributes):
    """class_ and such for names that Python keeps; attributes that are None are left out."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
                    for key, value in attributes.items() if value is not None)
    return Html(f"<{name}{given}>{''.join(map(escaped, inside))}</{name}>")


def joined(*parts):
    return Html("\n".join(map(escaped, parts)))


def measured(value, error=np.nan, text=None):
    """A number with its error as it is read, and exactly as it is in the file for programs."""
    count = float(value).is_integer() and abs(value) < 1e9
    shown = text or (with_error(value, error) if np.isfinite(error) else whole(value) if count else number(value))
    return tag("data", shown, value=repr(float(value)))


class Cell:
    """Of a table: what is in it and its class; n: numbers, which end at the right."""

    def __init__(self, inside, class_=None, span=None):
        self.inside, self.class_, self.span = inside, class_, span

    def html(self, name="td", **more):
        return tag(name, self.inside, class_=self.class_, colspan=self.span, **more)


def cell(value):
    return value if isinstance(value, Cell) else Cell(value)


def table(head, rows, class_=None, numbers=()):
    """Rows of values or cells; numbers: which columns hold some. The first column names the rows."""
    def row(values, name="td"):
        cells = [cell(v) for v in values]
        for place, c in enumerate(cells):
            if place in numbers and c.class_ is None:
                c.class_ = "n"
        first = cells[0].html("th", scope="row" if name == "td" else "col")
        return tag("tr", first, *(c.html(name, **({"scope": "col"} if name == "th" else {})) for c in cells[1:]))

    top = [tag("thead", row(head, "th"))] if head else []
    return tag("div", tag("table", *top, tag("tbody", *map(row, rows)), class_=class_), class_="scroll")


def picture(svg, caption, label, narrow=False):
    image = Html(svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1))
    return tag("figure", tag("div", image, class_="scroll"), tag("figcaption", caption),
               class_="narrow" if narrow else None, id="figure-" + label)


def section(name, title, *inside):
    return tag("section", tag("h2", title), *inside, id=name)


def document(title, body, style=None):
    """The whole page; style: light, dark, or as the reader's browser has it."""
    with open(os.path.join(os.path.dirname(__file__), "page.css"), encoding="utf-8") as file:
        sheet = Html(file.read())
    head = joined(Html('<meta charset="utf-8">'),
                  Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
                  tag("title", title), tag("style", sheet))
    return ("<!DOCTYPE html>\n"
            + tag("html", tag("head", head), tag("body", body), lang="en", data_style=style) + "\n")

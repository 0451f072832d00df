"""The case report: pictures, the page of a run in a browser, the film."""
import html.parser
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import h5py
import numpy as np

import verify
from running import ROOT

PICTURES = ("particles", "fields", "profile", "classes", "training", "certificate")
PAPER = {"light": (255, 255, 255), "dark": (0x15, 0x18, 0x1c)}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (390, 1200)  # pixels of a phone and of a desktop
RATES = ("exact", "resolved", "resolved_fraction", "certified_total", "exact_total")
SIDES = ("left", "right", "difference", "error", "z")
HOSTILE = "<script>alert(1)</script>\"'&<img src=x>"


def plot(*arguments, **environment):
    """tools/plot.py by the Python that runs this; its pictures have no screen to open."""
    return subprocess.run([sys.executable, ROOT / "tools/plot.py", *map(str, arguments)], capture_output=True,
                          text=True, check=False, env={**os.environ, **environment})


def pixels(path):
    """(height, width, 3) of 0 to 255."""
    from matplotlib.image import imread
    return np.round(255 * imread(path)[..., :3]).astype(int)


def share_of(image, colour, tolerance=4):
    """Of the pixels, those of about this colour."""
    return float(np.mean(np.all(np.abs(image - np.array(colour)) <= tolerance, axis=-1)))


# ---- pictures ----

def picture_problem(path, style):
    """What is wrong with a picture in pixels: empty, of other paper, or with something cut off at an edge."""
    image = pixels(path)
    edge = np.concatenate([image[:2].reshape(-1, 3), image[-2:].reshape(-1, 3), image[:, :2].reshape(-1, 3),
                           image[:, -2:].reshape(-1, 3)])
    if share_of(edge[None], PAPER[style]) < 1:
        return "cut off at an edge"
    if not 0.05 < 1 - share_of(image, PAPER[style]) < 0.97:
        return "empty"
    if len(np.unique(image.reshape(-1, 3)[::7], axis=0)) < 8:
        return "without colours"
    return ""


def vector_problem(path):
    content = path.read_bytes()
    if path.suffix == ".pdf":
        return "" if content.startswith(b"%PDF") and len(content) > 5000 and b"%%EOF" in content[-32:] else "no PDF"
    shapes = sum(1 for item in xml.etree.ElementTree.fromstring(content).iter() if item.tag.endswith("}path"))
    return "" if shapes > 30 else "no shapes"


def pictures(folder, results):
    """All of them in both styles, as pixels and as vectors; beside the light ones the page."""
    for style, formats, more in (("light", "png,svg", []),
                                 ("dark", "png,pdf", ["--style", "dark", "--only", ",".join(PICTURES)])):
        output = folder / style
        drawn = plot(results, "--output", output, "--format", formats, "--dpi", 120, *more)
        yield verify.finished(f"{style}_exit_code", drawn)
        for name in PICTURES:
            problem = picture_problem(output / f"{name}.png", style)
            yield verify.equal(f"{style}_{name}", problem.replace(" ", "_") or "good", "good")
            problem = vector_problem(output / f"{name}.{formats[-3:]}")
            yield verify.equal(f"{style}_{name}.{formats[-3:]}", problem.replace(" ", "_") or "good", "good")


# ---- the page as text ----

class Page(html.parser.HTMLParser):
    """What is on a page: tags, names, what it takes from elsewhere, numbers, text."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.names, self.outside, self.text, self.numbers = [], set(), [], [], "", []
        self.broken = []
        source = path.read_text(encoding="utf-8")
        self.feed(source)
        self.outside += re.findall(r"(?:url\(|@import)\s*[\"']?(?!#)[^)]{0,40}", source)
        self.close()
        self.broken += self.open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        self.names += [found["id"]] if "id" in found else []
        self.outside += [value for key, value in attrs if key in ("src", "href", "xlink:href", "action", "srcset")
                         and not value.startswith(("#", "data:image/png;base64,"))]
        self.outside += [key for key in found if key.startswith("on")]
        if tag == "data":
            self.numbers.append([float(found["value"]), ""])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.broken.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "data":
            self.numbers[-1][1] += data
        if "style" not in self.open:
            self.text += data


def read_number(text):
    """The value of a number as a reader sees it, and half of its last digit."""
    text = text.replace("\u2212", "-").replace("\u2009", "")
    power = re.search(r"10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)$", text)
    scale = 10.0 ** int(power.group(1).translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))) if power else 1.0
    digits = re.search(r"-?\d+(?:\.(\d+))?", text)
    decimals = len(digits.group(1) or "")
    return float(digits.group()) * scale, 0.5001 * 10.0**-decimals * scale


def wrong_numbers(page):
    """Those whose text is not their value, to the digits that are shown."""
    wrong = []
    for value, text in page.numbers:
        if not np.isfinite(value):
            wrong += [] if text == "\u2013" else [text]
            continue
        seen, half = read_number(text)
        if abs(seen - value) > max(half, 5.1e-4 * abs(value) if "\u00b1" not in text else 0):
            wrong.append(f"{text} for {value}")
    return wrong


def numbers_of(path):
    """What the page of an evaluation must have: the certificate's numbers, and those by class."""
    with h5py.File(path, "r") as file:
        group = file["certificate"]
        found = [float(group.attrs[name]) for name in RATES]
        for name in ("I0", "I1_g", "I2", "I3", "resolved"):
            found += [float(group[name].attrs[side]) for side in SIDES]
        for name in ("by_phase", "by_contacts", "by_density"):
            count = group[name]["count"][()]
            there = count > 1e-3 * count.sum()
            for column in ("exact", "captured", "resolved", "resolved_fraction", "count"):
                found += list(group[name][column][there].astype(float))
    return found


def parameters_of(path):
    with h5py.File(path, "r") as file:
        return [key for name in ("system", "simulation") for key in file[f"parameters/{name}"].attrs]


def page_as_text(page, results):
    yield verify.equal("broken_tags", ",".join(page.broken) or "none", "none")
    yield verify.equal("from_elsewhere", ",".join(page.outside)[:80] or "nothing", "nothing")
    yield verify.equal("scripts", "some" if "script" in page.tags else "none", "none")
    yield verify.equal("names_twice", len(page.names) - len(set(page.names)), 0)
    missing = [name for name in PICTURES if name != "certificate" and f"figure-{name}" not in page.names]
    yield verify.equal("pictures_missing", ",".join(missing) or "none", "none")
    shown = {value for value, _ in page.numbers}
    wanted = numbers_of(results / "evaluation.h5")
    yield verify.at_least("numbers", len(wanted), 60)
    absent = [value for value in wanted if np.isfinite(value) and value not in shown]
    yield verify.equal("numbers_missing", len(absent), 0)
    wrong = wrong_numbers(page)
    print(*wrong[:5], sep="\n", end="\n" if wrong else "", file=sys.stderr)
    yield verify.equal("numbers_misread", len(wrong), 0)
    absent = [key for key in parameters_of(results / "trajectory.h5") if key not in page.text]
    yield verify.equal("parameters_missing", ",".join(absent) or "none", "none")
    for words in ("Provenance", "neighbour lists", "network and gradient", "fields and profiles", "command line"):
        yield verify.equal(words.replace(" ", "_"), "there" if words in page.text else "missing", "there")


# ---- the page in a browser ----

HARNESS = """<!DOCTYPE html><meta charset="utf-8"><style>body {{ margin: 0; width: {total}px; }}
iframe {{ border: 0; float: left; }} pre {{ display: none; }}</style>{frames}<pre id="measured"></pre><script>
addEventListener("load", () => {{
  const found = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument, root = page.documentElement, high = root.scrollHeight;
    frame.style.height = high + "px";
    const boxes = [...page.querySelectorAll("figure svg")].map(item => {{
      const box = item.getBoundingClientRect();
      return [item.closest("figure").id, box.left, box.top, box.width, box.height];
    }});
    return {{width: root.clientWidth, wide: Math.max(root.scrollWidth, page.body.scrollWidth), high, boxes}};
  }});
  document.getElementById("measured").textContent = JSON.stringify(found);
}});
</script>"""


def browse(browser, folder, page, *options):
    """A browser without a screen, its profile and settings in the folder."""
    return subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                           "--allow-file-access-from-files", f"--user-data-dir={folder}/profile",
                           "--virtual-time-budget=4000", *options, page.as_uri()],
                          capture_output=True, text=True, check=False, timeout=120)


def measure(browser, folder, page):
    """The page as wide as a phone and as a desktop, side by side: that page, and what is how large."""
    frames = "".join(f'<iframe src="{page.as_uri()}" style="width: {width}px; height: 100px"></iframe>'
                     for width in WIDTHS)
    harness = folder / "harness.html"
    harness.write_text(HARNESS.format(frames=frames, total=sum(WIDTHS)))
    said = browse(browser, folder, harness, f"--window-size={sum(WIDTHS)},1000", "--dump-dom")
    found = re.search(r'<pre id="measured">(\[.*?\])</pre>', said.stdout, re.DOTALL)
    if not found:
        print(said.stderr, file=sys.stderr)
    return harness, json.loads(found.group(1)) if found else []


def figure_problem(image, box, style):
    """What is wrong with a figure in a screenshot: of one colour, or cut off at its upper or lower edge."""
    name, left, top, width, height = box
    part = image[int(top) + 1:int(top + height) - 1, max(0, int(left)):int(left + width)]
    if part.size == 0 or part.reshape(-1, 3).std(axis=0).max() < 8:
        return f"{name}_is_empty"
    return "" if share_of(part[[0, 1, -2, -1]], PAPER[style]) == 1 else f"{name}_is_cut"


def judge_screenshot(name, image, boxes, style):
    """Paper of the style, and every figure."""
    yield verify.at_least(f"paper_{name}", share_of(image, PAPER[style]), 0.3)
    problems = list(filter(None, (figure_problem(image, box, style) for box in boxes)))
    yield verify.equal(f"figures_{name}", ",".join(problems) or "good", "good")


def page_in_browser(folder, page):
    """On a phone and on a desktop, in light and dark: nothing too wide, all figures there, on paper of the style."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("report: no browser (tools/setup --tests): the page is not looked at", file=sys.stderr)
        return
    harness, found = measure(browser, folder, page)
    yield verify.equal("pages_measured", len(found), len(WIDTHS))
    if not found:
        return
    shot, offset, height = folder / "shot.png", 0, max(size["high"] for size in found)
    browse(browser, folder, harness, f"--window-size={sum(WIDTHS)},{height}", f"--screenshot={shot}")
    image = pixels(shot)
    for width, size in zip(WIDTHS, found):
        yield verify.equal(f"wide_at_{width}", size["wide"], width)
        yield verify.at_least(f"figures_at_{width}", len(size["boxes"]), len(PICTURES) - 1)
        part = image[:size["high"], offset:offset + width]
        yield from judge_screenshot(f"light_{width}", part, size["boxes"], "light")
        offset += width
    browse(browser, folder, page, f"--window-size={WIDTHS[-1]},{found[-1]['high']}", f"--screenshot={shot}",
           "--blink-settings=preferredColorScheme=0", "--force-dark-mode")
    yield from judge_screenshot(f"dark_{WIDTHS[-1]}", pixels(shot), found[-1]["boxes"], "dark")


# ---- what is not there, torn, or hostile ----

def damaged(folder, results):
    """Pages of runs that are not done, or whose texts are marks of the page."""
    def page_of(name):
        drawn = plot(folder / name, "--report")
        if drawn.returncode != 0:
            print(drawn.stderr, file=sys.stderr)
            return None
        return Page(folder / name / "report.html")

    def outcome(name, page, *words):
        if page is None:
            return verify.equal(name, "no_page", "good")
        missing = [word for word in words if word not in page.text]
        return verify.equal(name, ",".join(missing + page.broken + page.outside).replace(" ", "_") or "good", "good")

    for name in ("alone", "torn", "partly", "<b>hostile&"):
        (folder / name).mkdir()
        shutil.copy(results / "trajectory.h5", folder / name)
    page = page_of("alone")
    yield outcome("trajectory_alone", page, "exact EPR, of the trajectory", "no evaluation.h5")
    with h5py.File(results / "evaluation.h5", "r") as file:  # of the same frames, all
        exact = float(file["certificate"].attrs["exact"])
    off = min((abs(value / exact - 1) for value, _ in page.numbers), default=1) if page else 1
    yield verify.at_most("exact_of_trajectory", off, 1e-9)
    (folder / "torn/evaluation.h5").write_bytes((results / "evaluation.h5").read_bytes()[:3000])
    yield outcome("torn_evaluation", page_of("torn"), "evaluation.h5 cannot be read")
    for name in ("evaluation.h5", "model.h5", "log.txt"):
        shutil.copy(results / name, folder / "partly")
        shutil.copy(results / name, folder / "<b>hostile&")
    with h5py.File(folder / "partly/evaluation.h5", "r+") as file:
        file.attrs["complete"] = np.int32(0)
        file["particles/evaluation/step"][-3:] = -1
        frames = file["particles/evaluation/step"].size
    yield outcome("evaluation_in_progress", page_of("partly"), f"{frames - 3} of {frames} frames are written",
                  "The evaluation is not complete")
    with h5py.File(folder / "<b>hostile&/evaluation.h5", "r+") as file:
        file["provenance"].attrs["command_line"] = np.bytes_(HOSTILE)
        file["parameters/evaluation"].attrs["models"] = np.bytes_(HOSTILE)
        file["certificate"].attrs["epr_convention"] = np.bytes_(HOSTILE)
    with open(folder / "<b>hostile&/log.txt", "a", encoding="utf-8") as file:
        file.write(f"2026-01-01 00:00:00  warning: {HOSTILE}\n")
    page = page_of("<b>hostile&")
    yield outcome("hostile", page, HOSTILE, "<b>hostile&")
    marks = {"script", "img", "b"} & page.tags if page else {"no_page"}
    yield verify.equal("hostile_marks", ",".join(marks) or "none", "none")
    nothing = plot(folder / "light", "--report")
    yield verify.equal("no_results", "said" if nothing.returncode == 1 and "no results" in nothing.stderr else "not",
                       "said")


# ---- film ----

def film(folder, results):
    if not shutil.which("ffmpeg"):
        print("report: no ffmpeg (tools/setup --tests): no film is made", file=sys.stderr)
        return
    path = folder / "film.mp4"
    yield verify.finished("film_exit_code", plot(results, "--film", path, "--fields", "--style", "dark"))
    asked = "stream=width,height,nb_read_frames,pix_fmt"
    said = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-show_entries", asked, "-of", "json", path],
                          capture_output=True, text=True, check=False)
    stream = json.loads(said.stdout)["streams"][0]
    yield verify.equal("film_frames", int(stream["nb_read_frames"]),
                       verify.frames_written(results / "evaluation.h5"))
    yield verify.equal("film_size", f"{stream['width']}x{stream['height']}", "1920x1080")
    yield verify.equal("film_pixels", stream["pix_fmt"], "yuv420p")
    subprocess.run(["ffmpeg", "-v", "error", "-i", path, folder / "film%02d.png"], check=False)
    first, second = pixels(folder / "film01.png"), pixels(folder / "film02.png")
    yield verify.at_least("film_paper", share_of(first, PAPER["dark"], 12), 0.2)
    yield verify.at_least("film_colours", float(first.reshape(-1, 3).std(axis=0).min()), 20)
    yield verify.at_least("film_moves", float(np.mean(np.abs(first - second).max(axis=-1) > 40)), 0.02)
    torn = plot(results, "--film", folder / "film.nonsense")
    left = [name.name for name in folder.glob("film*nonsense")]
    yield verify.equal("film_unknown_kind", ",".join(left) or torn.returncode, 1)
    without = plot(results, "--film", folder / "none.mp4", PATH=str(folder))
    yield verify.equal("without_ffmpeg", "said" if without.returncode == 1 and "apt-get install ffmpeg"
                       in without.stderr else "not", "said")


def report(folder):
    """The pictures of a run in both styles, its page in a browser on a phone and a desktop, its film."""
    if importlib.util.find_spec("matplotlib") is None:
        print("report: skipped: it wants matplotlib", file=sys.stderr)
        sys.exit(77)
    folder = pathlib.Path(folder)
    source = verify.write_small(folder, "results", particles=400, frames=12)
    made = verify.run(0, "run", source, "--set", "training.steps=200", "--set", "system.v0=0.5")
    yield verify.finished("run_exit_code", made)
    results = folder / "results"
    yield from pictures(folder, results)
    page = folder / "light/report.html"
    yield from page_as_text(Page(page), results)
    yield from page_in_browser(folder, page)
    yield from damaged(folder, results)
    yield from film(folder, results)

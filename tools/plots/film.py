"""A film of the evaluated frames: every particle by its entropy production rate. Written by ffmpeg, frame by frame."""
import os
import shutil
import subprocess

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from plots.certificate import verdict
from plots.files import (Skip, box_sides, dataset, group_of, last_frame, open_file, parameter, required, rows_of)
from plots.particles import draw_particles, in_plane, limits, with_images
from plots.style import colour_bar, colours, frame_of_box, robust_linear, robust_log

DPI = 200
SIZES = {1: (5.4, 6.0), 2: (9.6, 5.4)}  # inches, by the number of panels: even numbers of pixels
SAMPLES = 12  # frames that the scales are made from
SECONDS, LEAST, MOST = 15, 5, 30  # as long as the film should be; frames a second


class Frames:
    """What every frame shows: of the evaluation; without one, of the trajectory, by the size of the propulsion."""

    def __init__(self, folder):
        try:
            self.file = open_file(folder, "evaluation.h5")
            self.group = group_of(self.file, "particles/evaluation")
            self.count = last_frame(self.file, self.group) + 1
            self.title, self.label = "Entropy production rate of each particle", "EPR per particle (1/time)"
            self.colours, self.scale, self.evaluated = "magma", robust_log, True
        except Skip:
            self.file = open_file(folder, "trajectory.h5")
            self.group = group_of(self.file, "particles/trajectory")
            self.count = last_frame(self.file, self.group) + 1
            self.title = "Self-propulsion of each particle (not evaluated yet)"
            self.label = "size of the propulsion $|g|$"
            self.colours, self.scale, self.evaluated = "cividis", robust_linear, False
        self.dimension = int(parameter(self.file, "system", "dimension", 2))
        if self.dimension not in (2, 3):
            raise Skip(f"films are of 2 dimensions and of a cut through 3, not of {self.dimension}")
        self.sides = box_sides(self.file, self.dimension)
        particles = required(self.group, "position").shape[1]
        self.one = slice(particles // int(parameter(self.file, "system", "copies", 1)))  # copies lie on each other
        times = dataset(self.group, "time")
        self.times = times if times is not None else self.group["position/time"]

    def position(self, frame):
        return rows_of(required(self.group, "position"), frame)[self.one, :self.dimension]

    def values(self, frame):
        if self.evaluated:
            return required(self.group, "sigma")[frame][self.one].astype(float)
        return np.linalg.norm(rows_of(required(self.group, "propulsion"), frame)[self.one], axis=-1)

    def sampled(self, read):
        """Of some frames that are spread over all."""
        chosen = np.unique(np.linspace(0, self.count - 1, min(self.count, SAMPLES)).astype(int))
        return np.concatenate([np.ravel(read(int(frame))) for frame in chosen])

    def corners(self):
        if self.sides is not None:
            return limits(np.zeros((1, 2)), self.sides)
        return limits(self.sampled(self.position).reshape(-1, self.dimension)[:, :2], None)


class ParticlePanel:
    """The particles of a frame."""

    def __init__(self, figure, axes, frames):
        self.axes, self.frames = axes, frames
        values = frames.sampled(frames.values)
        self.norm, self.colours = frames.scale(values), colours(frames.colours)
        low, high = frames.corners()
        frame_of_box(axes, low, high)
        axes.set_title(frames.title)
        self.note = ""
        artist = draw_particles(axes, low[None], values[:1], self.norm, self.colours)
        colour_bar(figure, artist, axes, values, frames.label)
        artist.remove()

    def draw(self, frame):
        position, radii, chosen, self.note = in_plane(self.frames.position(frame), self.frames.sides)
        columns = [self.frames.values(frame)[chosen]] + ([radii] if radii is not None else [])
        if self.frames.sides is not None:
            position, columns = with_images(position, columns, self.frames.sides)
        artist = draw_particles(self.axes, position, columns[0], self.norm, self.colours, *columns[1:])
        self.axes.draw_artist(artist)
        artist.remove()


class FieldPanel:
    """The entropy production per area of a frame."""

    def __init__(self, figure, axes, frames):
        self.axes = axes
        self.epr = required(group_of(frames.file, "fields"), "epr")
        if self.epr.ndim != 3:
            raise Skip("fields are filmed in 2 dimensions")
        values = frames.sampled(lambda t: self.epr[t])
        low, high = frames.corners()
        self.image = axes.imshow(self.epr[0], origin="lower", extent=(low[0], high[0], low[1], high[1]),
                                 norm=robust_log(values, low=1, high=99.9), cmap=colours("magma"),
                                 interpolation="nearest", animated=True)
        axes.set_title("Entropy production per area")
        frame_of_box(axes, low, high)
        colour_bar(figure, self.image, axes, values, r"EPR density (1/(time $r_0^2$))")

    def draw(self, frame):
        self.image.set_data(self.epr[frame])
        self.axes.draw_artist(self.image)


class Film:
    """A figure whose panels are drawn anew for every frame over what does not change."""

    def __init__(self, frames, kinds):
        self.frames = frames
        self.figure, axes = plt.subplots(1, len(kinds), figsize=SIZES[len(kinds)], dpi=DPI, squeeze=False)
        self.panels = [kind(self.figure, panel, frames) for kind, panel in zip(kinds, axes[0])]
        self.label = axes[0][0].text(1, -0.04, "", transform=axes[0][0].transAxes, ha="right", va="center",
                                     fontsize=8, animated=True)
        self.figure.supxlabel(verdict(frames.file))
        self.canvas = FigureCanvasAgg(self.figure)
        self.canvas.draw()
        self.figure.set_layout_engine("none")  # nothing moves from here on
        self.background = self.canvas.copy_from_bbox(self.figure.bbox)

    def size(self):
        return self.canvas.get_width_height()

    def picture(self, frame):
        """The pixels of a frame, four bytes each."""
        self.canvas.restore_region(self.background)
        for panel in self.panels:
            panel.draw(frame)
            for spine in panel.axes.spines.values():
                panel.axes.draw_artist(spine)
        note = self.panels[0].note
        self.label.set_text(f"time {self.frames.times[frame]:.6g}" + (f", {note}" if note else ""))
        self.label.axes.draw_artist(self.label)
        return self.canvas.buffer_rgba()


def command(path, size, fps):
    codec = ["-c:v", "libx264", "-crf", "17", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    return ["ffmpeg", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgba", "-s", f"{size[0]}x{size[1]}",
            "-r", f"{fps:g}", "-i", "-", "-an", *(codec if path.endswith((".mp4", ".mov", ".m4v")) else []), path]


def stream(film, count, path, fps):
    """The frames to ffmpeg; raises Skip with what it says where it fails."""
    process = subprocess.Popen(command(path, film.size(), fps), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        for frame in range(count):
            process.stdin.write(film.picture(frame))
        process.stdin.close()
    except BrokenPipeError:
        pass  # it says why
    said = process.stderr.read().decode(errors="replace").strip()
    if process.wait() != 0:
        raise Skip(f"ffmpeg could not write {path}: {said.splitlines()[-1] if said else 'it gave no reason'}")


def write(folder, path, fps=None, with_fields=False):
    """The film of a folder's frames; returns words about it. No file is left where it fails."""
    if shutil.which("ffmpeg") is None:
        raise Skip("films are written by ffmpeg, which is not on PATH (Debian, Ubuntu: apt-get install ffmpeg)")
    if os.path.splitext(path)[1] == "":
        raise Skip(f"{path} has no ending that says which kind of film: name it {path}.mp4")
    frames = Frames(folder)
    if with_fields and not frames.evaluated:
        raise Skip("there are no fields without an evaluation")
    fps = fps or float(np.clip(round(frames.count / SECONDS), LEAST, MOST))
    film = Film(frames, [ParticlePanel] + [FieldPanel] * with_fields)
    part = "{}.part{}".format(*os.path.splitext(path))
    try:
        stream(film, frames.count, part, fps)
        os.replace(part, path)
    finally:
        plt.close(film.figure)
        if os.path.exists(part):
            os.remove(part)
    width, height = film.size()
    return f"{path}: {frames.count} frames of {width} x {height} pixels, {fps:g} a second"

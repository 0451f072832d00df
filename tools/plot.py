#!/usr/bin/env python3
"""Draws the results of a run: tools/plot.py DIR [--output DIR].

    report.html      all of the below on one page, with parameters, provenance, certificate and timing
    particles.png    every particle by its entropy production rate (EPR), and by the local density
    fields.png       EPR per area and density on a grid, with the interface between gas and dense phase
    profile.png      density and EPR across the interface, with standard errors
    classes.png      exact, captured and resolved EPR by phase, local density and contacts
    training.png     loss, gradient, learning rate, resolved fraction on held-out frames
    certificate.png  the identities that an exact score obeys, and the resolved fraction

The maps state the resolved fraction and the certified bound of the total EPR. Where epflow check has held the
evaluation against an exact flow:

    check.png        the network's velocities and EPR against the exact ones, particle by particle
    ring.png         two particles on a ring: both flows, and their difference, in the relative coordinates
    crystal.png      a crystal's particles by their EPR, of the network and exact, and the difference

It reads files only (evaluation.h5, check.h5, model.h5, and trajectory.h5 where there is no evaluation yet),
draws what there is and says what it skips. A run in progress may be drawn too. The pictures have the widths of one
and two columns of a journal (86 and 178 mm). They are in tools/plots/.

    tools/plot.py DIR --format pdf,svg --style dark     pictures as vectors, for dark paper
    tools/plot.py DIR --report                          report.html alone
    tools/plot.py DIR --film film.mp4                   the evaluated frames as a film, particles by their EPR
"""
import argparse
import os
import sys

from plots import film, report, style
from plots.certificate import certificate
from plots.classes import classes
from plots.crystal import crystal
from plots.exact import check
from plots.fields import fields
from plots.files import Skip
from plots.particles import particles
from plots.profile import profile
from plots.ring import ring
from plots.training import training

import matplotlib.pyplot as plt

PICTURES = {picture.__name__: picture for picture in (particles, fields, profile, classes, training, certificate,
                                                      check, ring, crystal)}
FORMATS = ("png", "svg", "pdf")


def read_options():
    parser = argparse.ArgumentParser(prog="tools/plot.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIR", help="output folder of the run")
    parser.add_argument("--output", metavar="DIR", help="folder for the pictures (default: the same)")
    parser.add_argument("--format", metavar="FORMAT", default="png", help="png (default), svg, pdf; several: png,pdf")
    parser.add_argument("--style", choices=("light", "dark"),
                        help="default: light; the report follows the reader's browser")
    parser.add_argument("--dpi", type=int, default=300, help="of pictures in pixels (default: 300)")
    parser.add_argument("--only", metavar="NAME", help=f"some pictures: {','.join(PICTURES)}")
    parser.add_argument("--report", action="store_true", help="report.html alone")
    parser.add_argument("--film", metavar="FILE", help="a film alone, in FILE (.mp4 and others that ffmpeg writes)")
    parser.add_argument("--fps", type=float, help="frames of the film per second (default: by their number)")
    parser.add_argument("--fields", action="store_true", help="in the film, beside the particles: EPR per area")
    options = parser.parse_args()
    options.formats = options.format.split(",")
    options.names = options.only.split(",") if options.only else list(PICTURES)
    for what, given, known in (("format", options.formats, FORMATS), ("picture", options.names, PICTURES)):
        unknown = [name for name in given if name not in known]
        if unknown:
            parser.error(f"{unknown[0]} is not a {what}; there are {', '.join(known)}")
    if not os.path.isdir(options.directory):
        parser.error(f"{options.directory} is not a folder")
    options.output = options.output or options.directory
    return options


def draw(options):
    """The pictures; returns how many there are."""
    drawn = 0
    for name in options.names:
        try:
            figure = PICTURES[name](options.directory)
        except Skip as why:
            print(f"skipped {name}: {why}")
            continue
        for ending in options.formats:
            path = os.path.join(options.output, f"{name}.{ending}")
            style.save(figure, path, options.dpi)
            print(f"wrote {path}")
        plt.close(figure)
        drawn += 1
    return drawn


def write_report(options):
    path = os.path.join(options.output, "report.html")
    report.write(options.directory, PICTURES, path, options.style)
    print(f"wrote {path}")


def main():
    options = read_options()
    os.makedirs(options.output, exist_ok=True)
    style.use_style(options.style or "light")
    try:
        if options.film:
            print(f"wrote {film.write(options.directory, options.film, options.fps, options.fields)}")
            return 0
        drawn = 0 if options.report else draw(options)
        if options.report or not options.only:
            write_report(options)
            drawn += 1
    except Skip as why:
        print(f"plot.py: error: {why}", file=sys.stderr)
        return 1
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main())

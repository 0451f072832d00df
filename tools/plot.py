#!/usr/bin/env python3
"""Draws the results of a run: tools/plot.py DIR [--output DIR].

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
draws what there is and says what it skips. A run in progress may be drawn too. The pictures are in tools/plots/.
"""
import argparse
import os
import sys

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

PICTURES = (particles, fields, profile, classes, training, certificate, check, ring, crystal)


def main():
    parser = argparse.ArgumentParser(description="Draws the results of a run.")
    parser.add_argument("directory", help="output folder of the run")
    parser.add_argument("--output", help="folder for the pictures (default: the same)")
    options = parser.parse_args()
    if not os.path.isdir(options.directory):
        parser.error(f"{options.directory} is not a folder")
    output = options.output or options.directory
    os.makedirs(output, exist_ok=True)
    drawn = 0
    for picture in PICTURES:
        name = picture.__name__ + ".png"
        try:
            figure = picture(options.directory)
        except Skip as why:
            print(f"skipped {name}: {why}")
            continue
        figure.savefig(os.path.join(output, name))
        plt.close(figure)
        print(f"wrote {os.path.join(output, name)}")
        drawn += 1
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main())

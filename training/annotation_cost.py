"""What an answer costs a person: edits from a prediction to the truth, and modelled minutes.

The seconds are modelled, not measured: they stand for a practised annotator in this editor, whose
brush, wand and split tools are made for cells of some 30 px. What is known of such work:

* a yes or no to a shown object takes 1.6 s (Papadopoulos et al., CVPR 2016, box verification);
* a sloppy contour takes 20 s and a tight one 54 s (Jain & Grauman, ICCV 2013), a polygon 79 s
  (Lin et al., ECCV 2014, COCO: 22 hours for 1,000), all of everyday objects; a cell is smaller and
  rounder, one closed stroke or a click of the wand, for which 10 s are assumed.

Only their ratios matter where two ways of asking are compared. A lab that has logged its own times
puts them here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Edits:
    """What a person does, in numbers of each; ``redrawn`` in whole borders, a part counts less."""

    opened: int = 0  # images or windows of images
    asked: int = 0  # single cells, shown as crops one after the other
    looked: int = 0  # predicted cells that were kept, each looked at once
    redrawn: float = 0.0
    added: int = 0
    deleted: int = 0
    split: int = 0  # cuts
    merged: int = 0
    retyped: int = 0

    def __add__(self, other: Edits) -> Edits:
        return Edits(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class AnnotationCost:
    """Seconds of one edit of each kind."""

    opened: float = 6.0  # until it is on the screen and understood
    asked: float = 1.6
    looked: float = 0.8  # cells in their surroundings, by the eye alone
    redrawn: float = 8.0  # a whole border
    added: float = 10.0
    deleted: float = 1.5
    split: float = 4.0
    merged: float = 3.0
    retyped: float = 1.5

    def minutes(self, edits: Edits) -> float:
        """Of all ``edits`` together."""
        seconds = sum(getattr(self, f.name) * getattr(edits, f.name) for f in fields(self))
        return float(seconds / 60)


MODELLED = AnnotationCost()

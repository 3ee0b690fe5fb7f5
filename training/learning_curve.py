"""How quality grows with annotated cells, and what the next ones would bring. Numpy only.

The curve is a power law, a − b·n^−c of n cells, as errors of deep networks follow (Hestness et
al., "Deep Learning Scaling Is Predictable, Empirically", arXiv:1712.00409, 2017) and as it was
used to say how many labels are enough (Figueroa et al., "Predicting sample size required for
classification performance", BMC Med. Inform. Decis. Mak. 12:8, 2012, by weighted least squares).

Test sets grow too, and a harder one lowers all versions alike: so each test set has a level a of
its own, while b ≥ 0 and c > 0 are common. Only differences between versions on the same images
tell of them. For given c all else is linear, so c is searched on a grid.

The uncertainty is that of noise laid over what was measured, fitted anew each time: the images are
resampled, for all versions of a test set together, and each version is as good as its training
fell out, a scatter estimated from the residuals (with a prior, for few versions have few of them).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError
from training.gate import SLACK

Values = NDArray[np.float64]

FEWEST = 3  # versions with different numbers of cells; fewer follow any curve
FEWEST_IMAGES = 3  # below, resampling them says nothing
RESAMPLES = 1000
NEXT = 100  # cells that a gain is told for …
FAR = 1000  # … and after which labels must have helped
# Labels have stopped helping when so many more surely bring less than twice what equal models
# scatter by, and help when they surely bring more than that scatter.
STOPPED, HELPS = 2 * SLACK, SLACK
_TAILS = (2.5, 97.5)  # percentiles
_POWERS = np.geomspace(0.05, 2.0, 60)
# Prior of log c: half, which theory expects, give or take a factor of e; within two of them lie the
# 0.07 … 0.35 that Hestness et al. found. Three versions say little of c, and many overrule this.
_POWER, _POWER_SPREAD = 0.5, 1.0
_PRIOR_WEIGHT = 3  # how many residuals the gate's SLACK counts as, for the scatter of trainings
_HUBER = 1.5  # standard deviations from which a version counts less (Huber 1981) …
_HUBER_LEAVES = 0.7785  # … and what of a normal variance that leaves
_ROUNDS = 25
_TINY = 1e-12


class NoCurve(TrainingError):
    """Nothing can be fitted; the message says why."""


@dataclass(frozen=True)
class Measured:
    """One version on one test set."""

    version: str
    test_set: str
    cells: int  # that taught it
    value: float
    resampled: Values  # (RESAMPLES,) on resampled images, the same ones for the whole test set


@dataclass(frozen=True)
class Gain:
    """By how much a figure grows, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """A fitted curve, and ``RESAMPLES`` other ones that could as well be true."""

    level: dict[str, float]  # a, by test set
    rate: float  # b
    power: float  # c
    versions: int
    levels: dict[str, Values]  # (RESAMPLES,) each
    rates: Values
    powers: Values

    def value(self, cells: Values, test_set: str) -> Values:
        """The figure on ``test_set`` for numbers of cells (n,)."""
        return np.asarray(self.level[test_set] - self.rate * cells**-self.power)

    def band(self, cells: Values, test_set: str) -> tuple[Values, Values]:
        """Where the curve runs with 95 % certainty: lower and upper ends (n,)."""
        all_of_them = (
            self.levels[test_set][:, None] - self.rates[:, None] * cells ** -self.powers[:, None]
        )
        low, high = np.percentile(all_of_them, _TAILS, axis=0)
        middle = self.value(cells, test_set)
        return np.clip(np.minimum(low, middle), 0, 1), np.clip(np.maximum(high, middle), 0, 1)

    def gain(self, cells: float, more: float = NEXT) -> Gain:
        """What ``more`` cells bring beyond ``cells``; never below zero."""
        value = float(self.rate * _fall(self.power, cells, more))
        low, high = np.percentile(self.rates * _fall(self.powers, cells, more), _TAILS)
        return Gain(value, min(float(low), value), max(float(high), value))


def _fall(power: Values | float, cells: float, more: float) -> Values:
    """n^−c − (n + more)^−c."""
    return np.asarray(cells**-power - (cells + more) ** -power)


def resample(parts: Values, whole: Values) -> Values:
    """Figures (V, RESAMPLES) of V versions on resampled images, the same ones for all versions.

    A figure is a ratio of sums over images: ``parts`` (V, n) and what they are parts of (V, n),
    ones for a mean, zero where a version lacks an image.
    """
    drawn = _drawn(parts.shape[1])
    total = whole @ drawn
    figures = (parts @ drawn) / np.maximum(total, _TINY)
    overall = parts.sum(axis=1) / np.maximum(whole.sum(axis=1), _TINY)
    return np.where(total > 0, figures, overall[:, None])


@lru_cache(maxsize=8)
def _drawn(count: int) -> Values:
    """How often each of ``count`` images is in each resample (count, RESAMPLES); slow to draw."""
    rng = np.random.default_rng(0)
    return rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float).T


def interval(resampled: Values, value: float, images: int) -> tuple[float, float] | None:
    """95 % interval of a figure from its values on resampled images; None for too few images.

    Percentiles of a bootstrap of n images are too narrow by about √((n − 1) / n), which is mended
    (Hesterberg, "What Teachers Should Know About the Bootstrap", Am. Stat. 69:371, 2015).
    """
    if images < FEWEST_IMAGES:
        return None
    wide = math.sqrt(images / (images - 1))
    low, high = value + wide * (np.percentile(resampled, _TAILS) - value)
    return max(0.0, min(float(low), value)), min(1.0, max(float(high), value))


def fit_curve(measured: Sequence[Measured], seed: int = 0) -> Curve:
    """The power law through what was ``measured``; raises ``NoCurve`` when that is too little."""
    points = _telling(measured)
    design = _Design.of(points)
    values = np.array([point.value for point in points])
    deviations = np.stack([point.resampled for point in points]) - values[:, None]
    paired = design.paired_variance(deviations)
    weights, scatter = _weights(design, values, paired)
    center = math.log(_POWER)
    rate, power, level = design.best(values[None], weights, np.array([center]))

    rng = np.random.default_rng(seed)
    spread = _scatters(scatter, design.spare, rng)
    # One scatter for each version: it is the same model on all its test sets.
    luck = rng.standard_normal((len(design.versions), RESAMPLES)) * spread
    noisy = values[:, None] + deviations + luck[design.version]
    # The prior is noise as well (randomize, then optimize: Bardsley et al., SIAM 2014).
    centers = center + _POWER_SPREAD * rng.standard_normal(RESAMPLES)
    rates, powers, levels = design.best(noisy.T, weights, centers)
    return Curve(
        level={name: float(level[0, k]) for k, name in enumerate(design.test_sets)},
        rate=float(rate[0]),
        power=float(power[0]),
        versions=len(design.versions),
        levels={name: levels[:, k] for k, name in enumerate(design.test_sets)},
        rates=rates,
        powers=powers,
    )


def _telling(measured: Sequence[Measured]) -> list[Measured]:
    """Those of test sets that show what more cells did; ``NoCurve`` if they are too few."""
    usable = [p for p in measured if p.cells > 0 and math.isfinite(p.value)]
    cells: dict[str, set[int]] = {}
    for point in usable:
        cells.setdefault(point.test_set, set()).add(point.cells)
    kept = [point for point in usable if len(cells[point.test_set]) > 1]
    different = len({point.cells for point in kept})
    contrasts = len(kept) - len({point.test_set for point in kept})
    if different < FEWEST or contrasts < FEWEST - 1:
        raise NoCurve(
            f"Too few versions to say: {FEWEST} that learnt from different numbers of cells must"
            f" have been measured on common images, and there {_are(different)}."
        )
    return kept


def _are(number: int) -> str:
    return "is none yet" if number == 0 else f"are {number} so far"


@dataclass(frozen=True)
class _Design:
    """Who was measured where: for N points the index of version and test set, and n^−c."""

    versions: list[str]
    test_sets: list[str]
    version: NDArray[np.intp]  # (N,)
    member: Values  # (S, N), one where a point is of a test set
    falls: Values  # (C, N), n^−c for each of _POWERS

    @classmethod
    def of(cls, points: Sequence[Measured]) -> _Design:
        versions = sorted({point.version for point in points})
        test_sets = sorted({point.test_set for point in points})
        cells = np.array([point.cells for point in points], float)
        return cls(
            versions,
            test_sets,
            np.array([versions.index(point.version) for point in points]),
            np.array([[float(p.test_set == name) for p in points] for name in test_sets]),
            cells ** -_POWERS[:, None],
        )

    @property
    def spare(self) -> int:
        """Residuals that neither levels nor b and c could make vanish."""
        return max(0, len(self.version) - len(self.test_sets) - 2)

    def means(self, rows: Values, weights: Values) -> Values:
        """Weighted means of ``rows`` (…, N) over each test set: (…, S)."""
        shares = self.member * weights
        return np.asarray(rows @ (shares / shares.sum(axis=1, keepdims=True)).T)

    def paired_variance(self, deviations: Values) -> Values:
        """How much the luck of the images adds (N,) to the differences within a test set.

        ``deviations`` (N, R) are what resampling the images changes.
        """
        alike = np.ones(len(self.version))
        apart = deviations - (self.means(deviations.T, alike) @ self.member).T
        size = self.member.sum(axis=1) @ self.member
        return np.asarray(apart.var(axis=1) * size / (size - 1))

    def best(self, rows: Values, weights: Values, centers: Values) -> tuple[Values, Values, Values]:
        """b (R,), c (R,) and levels a (R, S) for each row of values (R, N).

        ``centers`` (R,) are where each row's prior of log c has its middle. No level exceeds 1.
        """
        row_means, fall_means = self.means(rows, weights), self.means(self.falls, weights)
        y = rows - row_means @ self.member
        x = self.falls - fall_means @ self.member
        xx = np.maximum((weights * x**2).sum(axis=1), _TINY**2)
        xy = y @ (weights * x).T  # (R, C)
        room = ((1 - row_means)[:, None, :] / fall_means[None]).min(axis=2)
        rates = np.clip(-xy / xx, 0, np.maximum(room, 0))
        doubt = (np.log(_POWERS) - centers[:, None]) / _POWER_SPREAD
        chosen = (2 * rates * xy + rates**2 * xx + doubt**2).argmin(axis=1)
        rate = rates[np.arange(len(rows)), chosen]
        return rate, _POWERS[chosen], row_means + rate[:, None] * fall_means[chosen]


def _weights(design: _Design, values: Values, paired: Values) -> tuple[Values, float]:
    """Weight of each point (N,), and the variance of equal trainings.

    Huber's weights and his second proposal for the scale: a training that went wrong counts
    little in both. Of one spare residual nothing tells which point is the wrong one.
    """
    robust = design.spare > 1
    scatter, trust = SLACK**2, np.ones(len(values))
    center = np.array([math.log(_POWER)])
    for _ in range(_ROUNDS if robust else 2):
        weights = trust / (paired + scatter)
        rate, power, level = design.best(values[None], weights, center)
        falls = design.falls[int(np.searchsorted(_POWERS, power[0]))]
        residuals = values - (level[0] @ design.member - rate[0] * falls)
        squares = residuals**2
        if robust:
            apart = np.abs(residuals) / np.sqrt(paired + scatter)
            trust = np.minimum(1, _HUBER / np.maximum(apart, _TINY))
            squares = (trust * residuals) ** 2 / _HUBER_LEAVES
        scatter = _scatter(squares, paired, design.spare)
    return weights, scatter


def _scatter(squares: Values, paired: Values, spare: int) -> float:
    """Variance between equal trainings: what residuals have beyond the luck of the images.

    Of the residuals' ``squares`` (N,), ``spare`` of which are free.
    """
    beyond = float(squares.sum() - paired.mean() * spare)
    return (_PRIOR_WEIGHT * SLACK**2 + max(0.0, beyond)) / (_PRIOR_WEIGHT + spare)


def _scatters(scatter: float, spare: int, rng: np.random.Generator) -> Values:
    """Standard deviations (RESAMPLES,) that the true one may have, knowing so few residuals."""
    weight = _PRIOR_WEIGHT + spare
    return np.sqrt(scatter * weight / rng.chisquare(weight, RESAMPLES))


def verdict(far: Gain) -> str:
    """Whether labels go on to help, of the gain of ``FAR`` cells: helps, stopped or unsure."""
    if far.high < STOPPED:
        return "stopped"
    return "helps" if far.low >= HELPS else "unsure"


def sentence(gain: Gain, far: Gain, figure: str, minutes: float | None = None) -> str:
    """Whether more labels still help, of the gains of ``NEXT`` and of ``FAR`` cells.

    ``minutes`` of work that ``NEXT`` cells take, if that is known.
    """
    work = "" if minutes is None else f", about {_time(minutes)} of work,"
    told = f"{NEXT} more cells{work} would bring about {_written(gain, figure)}"
    found = verdict(far)
    if found == "helps":
        return f"{told}."
    told += f", {FAR:,} more about {_written(far, figure)}"
    if found == "stopped":
        return f"More labels have stopped helping: {told}."
    return f"Whether more labels still help is not certain yet: {told}."


def _written(gain: Gain, figure: str) -> str:
    return f"+{gain.value:.3f} {figure} ({gain.low:.3f} … {gain.high:.3f})"


def _time(minutes: float) -> str:
    return f"{max(1, round(minutes))} min" if minutes < 100 else f"{minutes / 60:.1f} h"

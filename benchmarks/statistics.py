"""What a handful of seeds says: means with intervals, differences by seed, areas under curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from small_text_ext._statistics import bootstrap_interval

MIN_SEEDS_TO_MARK = 6
"""Seeds needed before a difference may be called one: with five, chance alone gives all the same
sign in one case of sixteen, and the bootstrap interval then leaves out zero."""

_MEDIAN_RESAMPLES = 10_000


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, with what is known of its spread.

    Parameters
    ----------
    mean : float
        Mean over the seeds; their median, where `estimate_median` made it.
    low, high : float or None
        Ends of its 95 % bootstrap interval; None with one seed.
    num_seeds : int
        Number of seeds.
    """

    mean: float
    low: float | None
    high: float | None
    num_seeds: int

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval, and enough seeds stand behind it to say so."""
        if self.low is None or self.high is None or self.num_seeds < MIN_SEEDS_TO_MARK:
            return False
        return self.low > 0 or self.high < 0


def estimate_mean(values: Iterable[float | None], *, seed: int = 0) -> Estimate | None:
    """Return the mean over seeds and its 95 % bootstrap interval.

    Parameters
    ----------
    values : iterable of float or None
        One value for each seed; None and NaN (not measured) are left out.
    seed : int, default=0
        Seed of the resampling.

    Returns
    -------
    Estimate or None
        None where no seed has a value.

    Examples
    --------
    >>> estimate_mean([0.5, None])
    Estimate(mean=0.5, low=None, high=None, num_seeds=1)
    """
    known = _known(values)
    if not known:
        return None
    interval = bootstrap_interval(known, seed=seed)
    low, high = (None, None) if interval is None else (float(interval[0]), float(interval[1]))
    return Estimate(float(np.mean(known)), low, high, len(known))


def estimate_median(values: Iterable[float | None], *, seed: int = 0) -> Estimate | None:
    """Return the median over seeds and its 95 % bootstrap interval, as `Estimate.mean`.

    Parameters
    ----------
    values : iterable of float or None
        One value for each seed; None and NaN (not measured) are left out.
    seed : int, default=0
        Seed of the resampling.

    Returns
    -------
    Estimate or None
        None where no seed has a value.

    Examples
    --------
    >>> estimate_median([0.0, 0.5, 4.0])
    Estimate(mean=0.5, low=0.0, high=4.0, num_seeds=3)
    """
    known = _known(values)
    if not known:
        return None
    low = high = None
    if len(known) > 1:
        generator = np.random.default_rng(seed)
        drawn = generator.choice(known, size=(_MEDIAN_RESAMPLES, len(known)))
        low, high = map(float, np.quantile(np.median(drawn, axis=1), [0.025, 0.975]))
    return Estimate(float(np.median(known)), low, high, len(known))


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and not np.isnan(value)]


def paired_difference(
    values: Mapping[int, float | None], reference: Mapping[int, float | None], *, seed: int = 0
) -> Estimate | None:
    """Return the mean difference to a reference over the seeds that both have.

    Methods share split and initial labels within a seed: the difference by seed is free of what
    makes one seed's split easier than another's, so its interval is far narrower than those of the
    two means.

    Parameters
    ----------
    values, reference : mapping of int to float or None
        Seed to value; seeds that one of the two lacks, or has no value for, are left out.
    seed : int, default=0
        Seed of the resampling.

    Returns
    -------
    Estimate or None
        Of ``values - reference``; None where no seed is shared.

    Examples
    --------
    >>> paired_difference({0: 0.75, 1: 0.5}, {0: 0.5, 1: 0.25, 2: 0.9}).mean
    0.25
    """
    differences = []
    for number in sorted(values.keys() & reference.keys()):
        value, other = values[number], reference[number]
        if value is not None and other is not None:
            differences.append(value - other)
    return estimate_mean(differences, seed=seed)


def signed_rank_p_value(differences: Sequence[float]) -> float:
    """Return how often chance alone would make paired differences as one-sided as these.

    Wilcoxon's signed-rank test, two-sided: exact where no two differences are of one size and there
    are at most 50, by scipy's choice. With five pairs it is never below 0.0625.

    Parameters
    ----------
    differences : sequence of float
        One for each pair; pairs without a difference are left out.

    Returns
    -------
    float
        1 where nothing differs.

    References
    ----------
    Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1945.

    Examples
    --------
    >>> signed_rank_p_value([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    0.03125
    """
    # scipy's statistics take as long to load as a thousand results to read.
    from scipy.stats import wilcoxon

    differing = [value for value in differences if value != 0]
    return float(wilcoxon(differing).pvalue) if differing else 1.0


def holm_correction(p_values: Sequence[float]) -> list[float]:
    """Return p values that hold for several tests at once.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none becomes
    smaller than one before it. Whatever is below 0.05 then is so with at most 5 % risk that any of
    them is there by chance.

    Parameters
    ----------
    p_values : sequence of float
        One for each test.

    Returns
    -------
    list of float
        In the same order, at most 1.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 1979.

    Examples
    --------
    >>> holm_correction([0.04, 0.01, 0.5])
    [0.08, 0.03, 0.5]
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    scaled = np.asarray(p_values, dtype=np.float64)[order] * factors
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected.tolist()


def normalized_area(num_labeled: Sequence[int], values: Sequence[float | None]) -> float | None:
    """Return the area under a curve over labels, divided by the range of labels.

    It reads as the mean value while labels are bought, in the units of the value: high early counts
    as much as high late.

    Parameters
    ----------
    num_labeled : sequence of int, shape (rounds,)
        Number of labels at each point, strictly increasing.
    values : sequence of float or None, shape (rounds,)
        The value at each point.

    Returns
    -------
    float or None
        The area by the trapezoid rule over ``num_labeled[-1] - num_labeled[0]``; the value itself
        for one point; None where there is no point or one was not measured.

    Raises
    ------
    ValueError
        If the lengths differ or labels do not increase.

    Examples
    --------
    >>> normalized_area([100, 125, 175], [0.0, 0.5, 0.5])
    0.4166666666666667
    """
    if len(num_labeled) != len(values):
        raise ValueError(
            f"num_labeled has {len(num_labeled)} points and values {len(values)}: pass one value "
            "for each point."
        )
    if not _is_measured(values):
        return None
    labels = np.asarray(num_labeled, dtype=np.float64)
    if (np.diff(labels) <= 0).any():
        raise ValueError(f"num_labeled is {list(num_labeled)}: the labels must increase.")
    curve = np.asarray(values, dtype=np.float64)
    if len(curve) == 1:
        return float(curve[0])
    return _trapezoid(curve, np.diff(labels)) / float(labels[-1] - labels[0])


def published_area(values: Sequence[float | None]) -> float | None:
    """Return the area as the AnchorAL paper computes it: by trapezoids one round wide.

    It grows with the number of rounds, so only runs of equal length can be compared.

    Parameters
    ----------
    values : sequence of float or None, shape (rounds,)
        The value after each round.

    Returns
    -------
    float or None
        Between 0 and ``rounds - 1`` for values between 0 and 1; None where there is no point or one
        was not measured.

    References
    ----------
    Lesci and Vlachos, "AnchorAL", NAACL 2024; the notebooks of its repository.

    Examples
    --------
    >>> published_area([0.0, 0.5, 0.5])
    0.75
    """
    if not _is_measured(values):
        return None
    return _trapezoid(np.asarray(values, dtype=np.float64), np.float64(1.0))


def seconds_per_query(seconds: ArrayLike) -> float | None:
    """Return the mean seconds of a query.

    Parameters
    ----------
    seconds : array-like of float, shape (rounds + 1,)
        Query seconds of consecutive records of a unit. The first, mostly of the initial labels,
        which no query brought, is left out.

    Returns
    -------
    float or None
        None where there was no query.

    Examples
    --------
    >>> seconds_per_query([0.0, 0.5, 1.0])
    0.75
    """
    queries = np.asarray(seconds, dtype=np.float64)[1:]
    return float(queries.mean()) if queries.size else None


def _trapezoid(curve: NDArray[np.float64], widths: NDArray[np.float64] | np.float64) -> float:
    """Return the area under a curve; numpy 1.26 has no `trapezoid`, scipy takes long to load."""
    return float((widths * (curve[1:] + curve[:-1]) / 2.0).sum())


def _is_measured(values: Sequence[float | None]) -> bool:
    return len(values) > 0 and not any(value is None or np.isnan(value) for value in values)

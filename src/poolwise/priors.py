"""Prior distributions that users write down, and the numbers that the density kernels need of them.

Priors of scales share one form, so that a compiled density evaluates any of them without asking which it is:

    log p(x) = c + a log x - b x - d x^2 / 2 - e log(1 + f x^2) / 2,     x > 0,

with the six coefficients (c, a, b, d, e, f) declared by each class in `coefficients`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from poolwise.support.errors import PriorError

_HUGE = 1e100  # squares and products of what lies beyond are no floating-point numbers


def _positive(prior: object, **values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not (isinstance(value, (int, float, np.number)) and 1 / _HUGE < value < _HUGE):
            said = _shown(value)
            raise PriorError(f"{type(prior).__name__}: {name} must be a positive, finite number, not {said}.")


def _finite(prior: object, **values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not (isinstance(value, (int, float, np.number)) and abs(value) < _HUGE):
            raise PriorError(f"{type(prior).__name__}: {name} must be a finite number, not {_shown(value)}.")


def _shown(value: object) -> str:
    """A value in a message, also where it has hundreds of digits."""
    text = repr(value)
    return text if len(text) < 40 else f"{text[:20]}... of {len(text)} digits"


def _number(value: float) -> str:
    return f"{value:.4g}"


class CoefficientPrior(ABC):
    """Prior of a coefficient, on the whole line: a Normal, or a scale mixture of Normals.

    A Student-t is Normal(mean, scale / sqrt(k)) with k ~ Gamma(df/2, df/2), so given the mixing precision k
    the coefficient is still integrated out in closed form (Andrews and Mallows 1974).
    """

    __slots__ = ()

    @property
    @abstractmethod
    def location(self) -> float:
        """Centre."""

    @property
    @abstractmethod
    def width(self) -> float:
        """Standard deviation given a mixing precision of one."""

    @property
    @abstractmethod
    def degrees(self) -> float:
        """Degrees of freedom, infinite for the Normal."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        """Independent draws of shape `size`."""

    @abstractmethod
    def widened(self, factor: float) -> CoefficientPrior:
        """The same prior, so many times as wide."""


@dataclass(frozen=True, slots=True)
class Normal(CoefficientPrior):
    """Normal prior of a coefficient, in the units of outcome per unit of predictor."""

    mean: float = 0.0
    sd: float = 1.0

    def __post_init__(self) -> None:
        _finite(self, mean=self.mean)
        _positive(self, sd=self.sd)

    location = property(lambda self: float(self.mean))
    width = property(lambda self: float(self.sd))
    degrees = property(lambda self: math.inf)

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        return self.mean + self.sd * rng.standard_normal(size)

    def widened(self, factor: float) -> Normal:
        return Normal(self.mean, factor * self.sd)

    def __str__(self) -> str:
        return f"Normal(mean {_number(self.mean)}, sd {_number(self.sd)})"


@dataclass(frozen=True, slots=True)
class StudentT(CoefficientPrior):
    """Student-t prior of a coefficient; `df=1` is the Cauchy. Costs one more dimension of sampling."""

    df: float
    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        _finite(self, mean=self.mean)
        _positive(self, df=self.df, scale=self.scale)

    location = property(lambda self: float(self.mean))
    width = property(lambda self: float(self.scale))
    degrees = property(lambda self: float(self.df))

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        return self.mean + self.scale * rng.standard_t(self.df, size)

    def widened(self, factor: float) -> StudentT:
        return StudentT(self.df, self.mean, factor * self.scale)

    def __str__(self) -> str:
        return f"Student-t(df {_number(self.df)}, mean {_number(self.mean)}, scale {_number(self.scale)})"


class ScalePrior(ABC):
    """Prior of a standard deviation, on the positive half line."""

    __slots__ = ()

    @property
    @abstractmethod
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        """(c, a, b, d, e, f) of the common form in the module's head."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        """Independent draws of shape `size`."""

    @abstractmethod
    def widened(self, factor: float) -> ScalePrior:
        """The same prior, so many times as wide."""

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Log density at positive `x`, normalised."""
        c, a, b, d, e, f = self.coefficients
        x = np.asarray(x, dtype=float)
        return c + a * np.log(x) - b * x - 0.5 * d * x**2 - 0.5 * e * np.log1p(f * x**2)

    def log_density_of_log(self, log_x: np.ndarray) -> np.ndarray:
        """Log density of the log of x, normalised."""
        with np.errstate(over="ignore"):
            return self.log_density(np.exp(log_x)) + log_x


@dataclass(frozen=True, slots=True)
class HalfNormal(ScalePrior):
    """Positive half of Normal(0, sd)."""

    sd: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, sd=self.sd)

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        return 0.5 * math.log(2 / math.pi) - math.log(self.sd), 0.0, 0.0, self.sd**-2, 0.0, 0.0

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        return np.abs(self.sd * rng.standard_normal(size))

    def widened(self, factor: float) -> HalfNormal:
        return HalfNormal(factor * self.sd)

    def __str__(self) -> str:
        return f"half-Normal(sd {_number(self.sd)})"


@dataclass(frozen=True, slots=True)
class HalfStudentT(ScalePrior):
    """Positive half of a Student-t around zero."""

    df: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, df=self.df, scale=self.scale)

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        nu, s = self.df, self.scale
        constant = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(nu * math.pi) - math.log(s)
        return math.log(2) + constant, 0.0, 0.0, 0.0, nu + 1, 1 / (nu * s**2)

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        return np.abs(self.scale * rng.standard_t(self.df, size))

    def widened(self, factor: float) -> HalfStudentT:
        return HalfStudentT(self.df, factor * self.scale)

    def __str__(self) -> str:
        return f"half-Student-t(df {_number(self.df)}, scale {_number(self.scale)})"


@dataclass(frozen=True, slots=True)
class HalfCauchy(ScalePrior):
    """Positive half of a Cauchy around zero."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, scale=self.scale)

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        return HalfStudentT(1.0, self.scale).coefficients

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        return np.abs(self.scale * rng.standard_cauchy(size))

    def widened(self, factor: float) -> HalfCauchy:
        return HalfCauchy(factor * self.scale)

    def __str__(self) -> str:
        return f"half-Cauchy(scale {_number(self.scale)})"


@dataclass(frozen=True, slots=True)
class Exponential(ScalePrior):
    """Exponential with the given rate; its mean is 1 / rate."""

    rate: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, rate=self.rate)

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        return math.log(self.rate), 0.0, self.rate, 0.0, 0.0, 0.0

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        return rng.exponential(1 / self.rate, size)

    def widened(self, factor: float) -> Exponential:
        return Exponential(self.rate / factor)

    def __str__(self) -> str:
        return f"Exponential(rate {_number(self.rate)})"


@dataclass(frozen=True, slots=True)
class Gamma(ScalePrior):
    """Gamma with the given shape and rate; its mean is shape / rate."""

    shape: float
    rate: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, shape=self.shape, rate=self.rate)

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        constant = self.shape * math.log(self.rate) - math.lgamma(self.shape)
        return constant, self.shape - 1.0, self.rate, 0.0, 0.0, 0.0

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        return rng.gamma(self.shape, 1 / self.rate, size)

    def widened(self, factor: float) -> Gamma:
        return Gamma(self.shape, self.rate / factor)

    def __str__(self) -> str:
        return f"Gamma(shape {_number(self.shape)}, rate {_number(self.rate)})"


@dataclass(frozen=True, slots=True)
class LKJ:
    """Prior of a correlation matrix, density proportional to det(R)^(eta - 1).

    Through partial correlations it is a product of Beta densities (Lewandowski, Kurowicka and Joe 2009).
    """

    eta: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, eta=self.eta)

    def partial_exponents(self, size: int) -> np.ndarray:
        """Exponents a of (1 - p^2)^(a - 1), the density of the partial correlation at each place (i, j < i).

        Row by row below the diagonal of a `size` x `size` matrix; shape (size (size - 1) / 2,).
        """
        return np.array([self.eta + (size - 2 - j) / 2 for i in range(size) for j in range(i)])

    def sample_factors(self, rng: np.random.Generator, draws: int, size: int) -> np.ndarray:
        """Cholesky factors of independent correlation matrices, shape (draws, size, size)."""
        exponents = self.partial_exponents(size)
        partial = 2 * rng.beta(exponents, exponents, (draws, len(exponents))) - 1
        return correlation_factors(partial)

    def __str__(self) -> str:
        return f"LKJ(eta {_number(self.eta)})"


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Prior of shares that add up to one; one concentration for all, or one for each.

    Concentrations of one are uniform; larger ones draw the shares towards equal ones.
    """

    concentration: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        several = isinstance(self.concentration, (list, tuple, np.ndarray))
        each = np.atleast_1d(np.array(self.concentration, dtype=object)).tolist()
        if not each:
            raise PriorError("Dirichlet takes a concentration, or one for each share: Dirichlet((2, 1, 1)).")
        for one in each:
            _positive(self, concentration=one)
        numbers = tuple(map(float, each))
        object.__setattr__(self, "concentration", numbers if several else numbers[0])

    def of_shares(self, count: int) -> tuple[StickShare, ...]:
        """The priors of what each share takes of the rest, for all shares but the last.

        Raises
        ------
        PriorError : for another number of concentrations.
        """
        each = self.concentration if isinstance(self.concentration, tuple) else (self.concentration,) * count
        if len(each) != count:
            raise PriorError(f"{self} is a prior of {len(each)} shares; there are {count}.")
        return tuple(StickShare(float(each[j]), float(sum(each[j + 1 :]))) for j in range(count - 1))

    def __str__(self) -> str:
        each = self.concentration if isinstance(self.concentration, tuple) else (self.concentration,)
        return f"Dirichlet({', '.join(_number(one) for one in each)})"


@dataclass(frozen=True, slots=True)
class StickShare(ScalePrior):
    """Beta(a, b) prior of a share v, as that of h = sqrt(v / (1 - v)): 2 h^(2 a) / (1 + h^2)^(a + b) / B(a, b) d log h.

    A Dirichlet distribution is made of such shares, each of what those before it have left.
    """

    a: float
    b: float

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        log_beta = math.lgamma(self.a) + math.lgamma(self.b) - math.lgamma(self.a + self.b)
        return math.log(2) - log_beta, 2 * self.a - 1.0, 0.0, 0.0, 2 * (self.a + self.b), 1.0

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        share = np.clip(rng.beta(self.a, self.b, size), 1e-12, 1 - 1e-12)
        return np.asarray(np.sqrt(share / (1 - share)))

    def widened(self, factor: float) -> StickShare:
        raise PriorError("A share lies between 0 and 1: its prior has no width.")

    def __str__(self) -> str:
        return f"Beta({_number(self.a)}, {_number(self.b)})"


@dataclass(frozen=True, slots=True)
class Autocorrelation(ScalePrior):
    """LKJ prior of one correlation, as that of h = exp(atanh(correlation)): (1 + rho) / 2 = h^2 / (1 + h^2) is then
    Beta(eta, eta).
    """

    eta: float = 1.0

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        return StickShare(self.eta, self.eta).coefficients

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        return StickShare(self.eta, self.eta).sample(rng, size)

    def widened(self, factor: float) -> Autocorrelation:
        raise PriorError("A correlation lies between -1 and 1: its prior has no width.")

    def __str__(self) -> str:
        return str(LKJ(self.eta))


@dataclass(frozen=True, slots=True)
class Followed(ScalePrior):
    """In the place of the prior of an sd that follows other numbers: none, as a density of its log."""

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        return 0.0, -1.0, 0.0, 0.0, 0.0, 0.0

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        return np.ones(size)

    def widened(self, factor: float) -> Followed:
        return self

    def __str__(self) -> str:
        return "that of what it follows"


def correlation_factors(partial: np.ndarray) -> np.ndarray:
    """Cholesky factors from partial correlations: (draws, q (q - 1) / 2) to (draws, q, q)."""
    draws, pairs = partial.shape
    size = int(round((1 + math.sqrt(1 + 8 * pairs)) / 2))
    factors = np.zeros((draws, size, size))
    at = 0
    for i in range(size):
        rest = np.ones(draws)
        for j in range(i):
            factors[:, i, j] = partial[:, at] * rest
            rest = rest * np.sqrt((1 - partial[:, at]) * (1 + partial[:, at]))
            at += 1
        factors[:, i, i] = rest
    return factors


@dataclass(frozen=True, slots=True)
class Default:
    """The default prior, so many times as wide: `priors={"sd_county": pw.Default(times=2)}`."""

    times: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, times=self.times)

    def __str__(self) -> str:
        return f"the default, {_number(self.times)} times as wide"


Prior = CoefficientPrior | ScalePrior | LKJ | Dirichlet | Default

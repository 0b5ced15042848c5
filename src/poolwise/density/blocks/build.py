"""From statistics, design and priors to the density of a model with several grouping factors."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from scipy.linalg import block_diag

from poolwise.density.blocks.alike_levels import compressed
from poolwise.density.blocks.assemble import assemble
from poolwise.density.blocks.density import BlockedDensity
from poolwise.density.blocks.leaf_tables import LeafTables
from poolwise.density.blocks.ordering import order_levels
from poolwise.density.blocks.structure import build_structure
from poolwise.density.centring import column_sizes
from poolwise.density.layout import ParameterLayout
from poolwise.density.priors import ModelPriors
from poolwise.density.projection import Projection, project
from poolwise.density.starts import own_regressions
from poolwise.density.working_coordinates import gram_root, working_basis
from poolwise.design.design import Design
from poolwise.design.factors import Factor
from poolwise.statistics.products import CrossProducts
from poolwise.support.errors import DataError


def block(
    statistics: CrossProducts,
    design: Design,
    priors: ModelPriors,
    *,
    threads: int,
    like: BlockedDensity | None = None,
) -> BlockedDensity:
    """Build the density of a design with two grouping factors or more, or with one whose levels are coupled.

    `like` is a density of the same design, by whose order of elimination this one is laid out too.
    """
    total = statistics.merged()
    basis = working_basis(total, design.common_map, priors.rows, priors.mean, priors.width, priors.scaled)
    gram = gram_root(total)
    parts = [project(statistics, basis, factor.group_map) for factor in design.factors]
    columns = parts[0][0].columns
    projection = replace(parts[0][0], effects=np.hstack([one.effects for one, _ in parts]))
    effects = [np.vstack([one.effects, np.zeros((1, one.effects.shape[1]))]) for one, _ in parts]
    projected = gram @ columns
    if like is None:
        order = order_levels(design.factors)
        structure, ranks = build_structure(design.factors, order, len(priors.mean) + 1)
    else:
        order, structure, ranks = like.order, like.system.structure, like.ranks
    prior = priors.arrays(basis, statistics)
    check_constraints(design.factors)
    couplings = [(factor.coupling, len(factor.effects)) for factor in design.factors if factor.coupling is not None]
    constant = 0.5 * sum(effects * coupling.log_determinant for coupling, effects in couplings)
    prior = prior._replace(log_constant=prior.log_constant + constant)
    to_written = priors.layout.map_to_zero
    maps = block_diag(*(move for _, move in parts)) @ to_written
    system = assemble(
        statistics,
        design.factors,
        effects,
        maps,
        to_written,
        columns,
        projected.T @ projected,
        prior,
        order,
        structure,
        ranks,
    )
    written = np.hstack([factor.group_map for factor in design.factors])
    sizes = column_sizes(written @ to_written, total)
    regressions = partial(_own, statistics, design, priors.layout, parts, float(projected[:, -1] @ projected[:, -1]))
    smaller = compressed(system)
    tables = LeafTables(smaller) if LeafTables.suit(smaller) else None
    return BlockedDensity(
        priors.layout,
        basis,
        projection,
        design.factors,
        order,
        ranks,
        system,
        smaller,
        sizes,
        regressions,
        tables,
        threads,
    )


def check_constraints(factors: tuple[Factor, ...]) -> None:
    """Refuse two factors whose effects sum to zero: elimination has room for one such constraint."""
    maps = [factor.name for factor in factors if factor.coupling is not None and factor.coupling.intrinsic]
    if len(maps) > 1:
        raise DataError(f"{' and '.join(maps)} are two large maps: a model can have one. Leave one of them out.")


def _own(
    statistics: CrossProducts,
    design: Design,
    layout: ParameterLayout,
    parts: list[tuple[Projection, np.ndarray]],
    total: float,
) -> np.ndarray:
    """Points (k, d) that regressions of the groups of each factor by itself suggest."""
    found = []
    for factor, (projection, move) in zip(design.factors, parts, strict=True):
        if factor.coupling is not None:
            continue
        place = layout.places(factor.name)
        alone = statistics.coarser(factor.codes, (factor.levels,))
        zz, zxy = projection.groups(alone)
        moved = move @ layout.map_to_zero[place, place]
        mine = moved.T @ zz @ moved, zxy[:, :, -1] @ moved
        point = own_regressions(layout, place, *mine, total, float(statistics.rows))
        found += [] if point is None else [point]
    return np.array(found).reshape(-1, layout.dimension)

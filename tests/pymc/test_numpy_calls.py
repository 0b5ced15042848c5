"""Graphs as NumPy calls, beside PyTensor's own functions."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.replace import clone_replace
from pytensor.tensor.random.utils import RandomStream

from poolwise.pymc.numpy_calls import PLAIN, numpy_function
from poolwise.pymc.vectorised import over_many

RNG = np.random.default_rng(3)
M, N = 5, 4
vector, matrix, whole = pt.dvector("vector"), pt.tensor("matrix", dtype="float64", shape=(N, 3)), pt.lvector("whole")
GIVEN = {vector: RNG.normal(size=N), matrix: RNG.normal(size=(N, 3)), whole: np.array([2, 0, 2, 1])}
GRAPHS = {
    "sums of three": vector + 2.0 + pt.exp(vector),
    "products of three": pt.mul(vector, vector, 3.0),
    "whole numbers": whole + whole + 1,
    "whole and real": whole * vector + whole,
    "division of whole numbers": whole / 3,
    "floor division": whole // 2,
    "logs of whole numbers": pt.log1p(whole),
    "cast": pt.cast(vector, "int64"),
    "bool": (vector > 0) & (whole > 0),
    "switch": pt.switch(vector > 0, vector, -1),
    "clip": pt.clip(vector, -0.5, 0.5),
    "special functions": pt.gammaln(pt.softplus(vector))
    + pt.sigmoid(vector)
    + pt.erfc(vector)
    + pt.log1mexp(-(vector**2)),
    "second": pt.second(matrix, 1.5),
    "order": matrix.T[None, :, ::2],
    "columns": matrix[:, [2, 0, 0]] @ np.ones(3),
    "a row": matrix[1] + matrix[-1],
    "a mask": matrix[np.array([True, False, True, True])],
    "both": matrix[whole, whole],
    "index": vector[whole],
    "reshape": matrix.reshape((2, 6)).ravel(),
    "joined": pt.concatenate([matrix, matrix[:, :1]], axis=-1),
    "stacked": pt.stack([vector, vector + whole], axis=1),
    "alloc": pt.alloc(vector, 3, N) + pt.zeros((3, N)),
    "set": pt.set_subtensor(matrix[1:3, 0], 7.0),
    "set a row": pt.set_subtensor(matrix[2], vector[:3]),
    "add": pt.inc_subtensor(matrix[:, ::2], vector[:, None]),
    "add to the same": pt.inc_subtensor(vector[whole], 1.0 + vector),
    "set some": pt.set_subtensor(matrix[whole[:2], whole[1:3]], vector[:2]),
    "set behind a slice": pt.set_subtensor(matrix[:, np.array([0, 2])], vector[:2]),
    "cumulated": pt.cumsum(matrix, axis=0),
    "cholesky": pt.linalg.cholesky(matrix.T @ matrix + np.eye(3)),
    "solved": pt.linalg.solve_triangular(pt.eye(3) + pt.tril(matrix.T @ matrix), matrix[0], lower=True),
    "einsum": pt.einsum("ij,i->j", matrix, vector),
    "softmax": pt.special.softmax(matrix, axis=1),
    "largest": pt.max(matrix, axis=0) + pt.all(vector < 9),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_gives_what_pytensor_gives(name):
    graph = GRAPHS[name]
    expected = pytensor.function(list(GIVEN), graph, mode=PLAIN, on_unused_input="ignore")(*GIVEN.values())
    found = numpy_function(list(GIVEN), graph)(*GIVEN.values())
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("name", GRAPHS)
def test_many_points_at_once_are_each_of_them(name):
    graph = clone_replace(pt.as_tensor(GRAPHS[name]), {whole: pt.constant(GIVEN[whole])})
    values = [RNG.normal(size=(M, *np.shape(GIVEN[one]))) for one in (vector, matrix)]
    found = over_many(graph, [vector, matrix], [(N,), (N, 3)])(*values)
    one_by_one = pytensor.function([vector, matrix], graph, mode=PLAIN, on_unused_input="ignore")
    for k in range(M):
        expected = one_by_one(*(each[k] for each in values))
        np.testing.assert_allclose(found[k] if found.ndim > graph.ndim else found, expected, rtol=1e-12, atol=1e-14)


def test_results_share_no_memory():
    fixed, shared = pt.constant(np.ones(3)), pytensor.shared(np.zeros(2))
    given = np.arange(4.0)
    found = numpy_function([vector], [vector, vector[1:], fixed, shared, fixed[None]])(given)
    for one in found:
        one += 100.0
    assert list(given) == [0.0, 1.0, 2.0, 3.0] and fixed.data.max() == 1.0 and shared.get_value().max() == 0.0
    assert numpy_function([vector], fixed)(given).max() == 1.0


def test_a_check_is_raised_by_each_call():
    fails = pt.specify_shape(pt.constant(np.ones(3)) + pytensor.shared(np.ones(3)), (4,))
    compute = numpy_function([vector], fails.sum() + vector)
    for _ in range(2):
        with pytest.raises(AssertionError, match="SpecifyShape"):
            compute(np.ones(N))


def test_a_generator_is_an_input_or_pytensor_s():
    stream = RandomStream(seed=1)
    drawn = stream.normal(vector, 1.0)
    generator = drawn.owner.inputs[0]
    compute = numpy_function([generator, vector], drawn)
    one, same, other = (compute(np.random.default_rng(seed), np.zeros(N)) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).all()
    assert numpy_function([vector], drawn)(np.zeros(N)).shape == (N,)


def test_a_loop_runs():
    steps, _ = pytensor.scan(lambda x, before: 0.5 * before + x, sequences=vector, outputs_info=pt.zeros(()))
    compute = numpy_function([vector], steps)
    np.testing.assert_allclose(compute(np.ones(N)), 2.0 - 0.5 ** np.arange(N))


def test_what_is_missing_is_said():
    with pytest.raises(Exception, match="not provided|missing input"):
        numpy_function([whole], vector + whole)

"""from_arrays: a matrix and a response instead of a formula."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import errors, from_arrays, glm

KINDS = {
    "C order": np.ascontiguousarray,
    "F order": np.asfortranarray,
    "reversed": lambda m: m[::-1][::-1],
    "strided": lambda m: np.repeat(np.repeat(m, 2, axis=0), 3, axis=1)[::2, ::3],
    "negative stride": lambda m: np.ascontiguousarray(m[::-1])[::-1],
    "tensor": torch.tensor,
    "tensor transposed": lambda m: torch.tensor(m.T.copy()).T,
    "tensor with gradient": lambda m: torch.tensor(m, requires_grad=True),
    "frame": lambda m: pd.DataFrame(m, columns=["x1", "x2"]),
    "lists": lambda m: m.tolist(),
    "read-only": lambda m: np.frombuffer(m.tobytes()).reshape(m.shape),
}


@pytest.mark.parametrize("kind", KINDS)
def test_matrices_of_any_kind(data, kind):
    matrix = data[["x", "z"]].to_numpy().copy()
    found = glm(*from_arrays(KINDS[kind](matrix), data["y"].to_numpy()), "poisson")
    expected = glm("y ~ x + z", data, "poisson")
    np.testing.assert_allclose(found.params.to_numpy(), expected.params.to_numpy(), rtol=1e-10)
    np.testing.assert_allclose(found.bse.to_numpy(), expected.bse.to_numpy(), rtol=1e-10)
    assert list(found.params.index) == ["Intercept", "x1", "x2"]


def test_names_intercept_and_predictions(data):
    found = glm(*from_arrays(data[["x", "z"]].to_numpy(), data["y"], names=["a b", "y"], intercept=False), "poisson")
    expected = glm("y ~ x + z - 1", data, "poisson")
    assert list(found.params.index) == ["a b", "y"]
    np.testing.assert_allclose(found.params.to_numpy(), expected.params.to_numpy(), rtol=1e-10)
    new = data[:5].rename(columns={"y": "old"}).rename(columns={"x": "a b", "z": "y"})
    np.testing.assert_allclose(found.predict(new), expected.fittedvalues[:5], rtol=1e-10)


@pytest.mark.parametrize(
    "X, y, names, words",
    [
        (np.ones(4), np.ones(4), None, "1 dimension"),
        (np.ones((4, 1)), np.ones((4, 1)), None, "'y' has 2 dimensions"),
        (np.ones((4, 1)), np.ones(3), None, "different lengths"),
        (np.ones((4, 2)), np.ones(4), ["a"], "names="),
        (np.ones((4, 2)), np.ones(4), ["a", "a"], "names="),
        (pd.DataFrame({"x": [1.0, 2.0]}), pd.Series([1.0, 2.0], index=[1, 0]), None, "different indexes"),
        (np.array([["a"], ["b"]]), np.ones(2) * 1j, None, "complex"),
    ],
)
def test_shapes_that_do_not_fit(X, y, names, words):
    with pytest.raises(errors.TorchGLMError, match=words):
        glm(*from_arrays(X, y, names=names))


def test_the_matrix_is_not_copied():
    X = np.asfortranarray(np.random.default_rng(0).normal(size=(50, 3)))
    _, columns = from_arrays(X, X[:, 0])
    assert all(np.shares_memory(columns[f"x{j + 1}"], X) for j in range(3))

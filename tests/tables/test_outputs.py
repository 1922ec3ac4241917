"""Several outputs, sparse matrices: what fit takes besides one target and a dense frame."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from tables_for_tests import mixed, numbers

from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.scikit_learn import given

pytestmark = pytest.mark.usefixtures("compared_briefly")

ROWS = 160


def small(**options: Any) -> EvolvedFeatures:
    """Return a transformer that is fitted fast."""
    settings: dict[str, Any] = {"population": 4, "generations": 1, "references": (), "budget": 40, "survivors": 3}
    return EvolvedFeatures(**{**settings, "folds": 2, "random_state": 0, **options})


OfZeros = tuple[np.ndarray, np.ndarray, EvolvedFeatures]


@pytest.fixture(scope="module")
def of_zeros(compared_briefly: None) -> OfZeros:
    """Return a matrix of mostly zeros, a target that it tells, and what is fitted to both."""
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(ROWS, 6)) * (rng.random((ROWS, 6)) < 0.4)
    target = dense[:, 0] + dense[:, 1] * dense[:, 2] + rng.normal(0, 0.1, ROWS)
    return dense, target, small().fit(dense, target)


def two_targets() -> tuple[pd.DataFrame, pd.DataFrame]:
    columns, ratio = numbers(ROWS)
    return pd.DataFrame(columns), pd.DataFrame({"ratio": ratio, "product": columns["x2"] * columns["x3"]})


def test_each_output_is_searched_for_and_what_any_of_them_keeps_is_kept() -> None:
    frame, targets = two_targets()
    both = small(mode="select").fit(frame, targets)
    alone = [small(mode="select").fit(frame, targets[name]) for name in targets]
    assert set(both.formulas_) == {formula for each in alone for formula in each.formulas_}
    assert len(set(both.formulas_)) == len(both.formulas_) == both.transform(frame).shape[1]
    assert both.front_["output"].unique().tolist() == ["ratio", "product"]
    for name, own in zip(targets, alone, strict=True):
        front = both.front_[both.front_["output"] == name]
        pd.testing.assert_series_equal(
            front["obj.root_mean_squared_error"].reset_index(drop=True), own.front_["obj.root_mean_squared_error"]
        )


def test_outputs_may_be_classes_beside_numbers_and_come_as_arrays_or_frames() -> None:
    columns, classes = mixed(ROWS)
    frame = pd.DataFrame(columns)
    mixture = pd.DataFrame({"class": classes, "size": np.nan_to_num(columns["size"]) + 0.5})
    found = small().fit(frame, mixture)
    assert found.front_["output"].unique().tolist() == ["class", "size"]
    _, targets = two_targets()
    plain = small().fit(frame, targets.to_numpy())
    assert plain.front_["output"].unique().tolist() == ["y0", "y1"]
    for other in (pl.DataFrame(targets), pa.Table.from_pandas(targets)):
        assert small().fit(frame, other).formulas_ == plain.formulas_


def test_a_model_of_several_outputs_takes_what_comes_out() -> None:
    frame, targets = two_targets()
    model = make_pipeline(small(), SimpleImputer(), ExtraTreesRegressor(20, random_state=0)).fit(frame, targets)
    assert model.predict(frame).shape == (ROWS, 2)


def test_a_column_of_no_use_is_warned_of_once_whatever_the_number_of_outputs() -> None:
    frame, targets = two_targets()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small().fit(frame.assign(flat=1.0), targets)
    assert sum("flat is left out" in str(each.message) for each in caught) == 1


def test_what_a_mask_hides_in_a_matrix_is_missing(of_zeros: OfZeros) -> None:
    dense, _, fitted = of_zeros
    hidden = dense > 1
    held = np.ma.MaskedArray(np.where(hidden, 99.0, dense), hidden)
    np.testing.assert_array_equal(fitted.transform(held), fitted.transform(np.where(hidden, np.nan, dense)))


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_a_sparse_matrix_is_as_good_as_the_dense_one(kind: Any, of_zeros: OfZeros) -> None:
    dense, target, other = of_zeros
    fitted = small().fit(kind(dense), target)
    assert fitted.formulas_ == other.formulas_
    np.testing.assert_array_equal(fitted.transform(kind(dense)), other.transform(dense))


def test_columns_of_pandas_that_are_sparse_are_read_and_kept_sparse() -> None:
    rng = np.random.default_rng(0)
    dense = pd.DataFrame(rng.normal(size=(ROWS, 4)) * (rng.random((ROWS, 4)) < 0.4), columns=list("abcd"))
    held = dense.astype(pd.SparseDtype("float64", 0.0))
    target = dense["a"] + rng.normal(0, 0.1, ROWS)
    fitted = small().set_output(transform="pandas").fit(held, target)
    out = fitted.transform(held)
    assert all(out[name].dtype == held[name].dtype for name in out.columns if name in held)


def test_a_sparse_matrix_that_would_not_fit_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "DENSE", 800)
    with pytest.raises(
        ValueError, match=r"a sparse matrix of at most 100 cells, found \(160, 6\).*as SelectKBest does"
    ):
        small().fit(sparse.csr_matrix((ROWS, 6)), np.arange(ROWS))

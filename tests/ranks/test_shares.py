"""Every public method of a fit of rows that lie on two ranks: the answer of one process, its own rows, or an error."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def alone(shared) -> dict[str, Any]:
    """What one process finds that holds the frame in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return shared.answers(shared.made())


@pytest.fixture(scope="module")
def ranks(shared, two_ranks_of, tmp_path_factory) -> list[dict[str, Any]]:
    """What each of two ranks finds that read row groups of their own."""
    folder = tmp_path_factory.mktemp("shares")
    frame = shared.made()
    for k, part in enumerate((frame.iloc[:700], frame.iloc[700:])):
        part.reset_index(drop=True).to_parquet(folder / f"{k}.parquet", row_group_size=200)
    printed = two_ranks_of(HERE / "shared_fits.py", folder)
    missing = [text for rank, text in enumerate(printed) if not (folder / f"{rank}.json").exists()]
    assert not missing, "\n".join(missing)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_every_method_is_asked(shared, alone, ranks):
    assert alone.keys() == ranks[0].keys() == ranks[1].keys()
    assert len(alone) > 150


def test_what_is_summed_or_sorted_over_rows_is_that_of_one_process(shared, alone, ranks):
    names = {name for name in alone if name.partition(": ")[2] not in shared.OWN | shared.REFUSED}
    assert not [(name, one[name], alone[name]) for name in names for one in ranks if not same(one[name], alone[name])]


def test_what_is_of_rows_is_that_of_the_ranks_own_rows(shared, alone, ranks):
    names = {name for name in alone if name.partition(": ")[2] in shared.OWN and "error" not in alone[name]}
    assert len(names) > 25
    for name in names:
        whole = np.array(alone[name]["numbers"], dtype=float)
        parts = [np.array(one[name]["numbers"], dtype=float) for one in ranks]
        if len(parts[0]) < len(whole):  # of the rows used alone
            joined = np.concatenate(parts)
        else:
            first, second = (~np.isnan(part).all(1) for part in parts)
            assert not (first & second).any(), name
            joined = np.where(first[:, None], *parts)
        if name.endswith("simulate"):
            assert (np.isnan(joined) == np.isnan(whole)).all(), name
        else:
            np.testing.assert_allclose(joined, whole, rtol=1e-7, atol=1e-9, err_msg=name)


def test_what_draws_rows_across_the_data_refuses(shared, ranks):
    for one in ranks:
        for name, found in one.items():
            if name.partition(": ")[2] in shared.REFUSED:
                assert found["error"].startswith("OptionError")
                assert "process" in found["error"]


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    if "error" in found or "error" in expected or found["text"] != expected["text"]:
        return found == expected
    ours, theirs = (np.array(each["numbers"], dtype=float) for each in (found, expected))
    return ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-7, atol=1e-9, equal_nan=True)

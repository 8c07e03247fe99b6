"""Ranks of one process, shares of rows, and designs that hold some rows only."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch

import torchglm as tg
from torchglm.design import among_ranks
from torchglm.design.among_ranks import own_seed
from torchglm.design.fingerprint import placed_sums
from torchglm.errors import DataError, OptionError, RankError
from torchglm.numerics import ranks as ranks_module
from torchglm.numerics.ranks import Ranks
from torchglm.numerics.sums import Sums


def test_one_process_is_rank_zero_of_one_and_asks_nobody():
    alone = Ranks.current()
    assert alone == Ranks(0, 1)
    flat = torch.arange(3.0)
    assert alone.all_sum(flat) is flat
    assert alone.gather("mine", "asking") == ["mine"]
    assert alone.total(2.5) == 2.5
    with alone.together("reading"):
        pass
    with pytest.raises(DataError, match="mine"), alone.together("reading"):
        raise DataError("mine")


@pytest.mark.parametrize("count", [0, 1, 3, 10, 1_000_003])
@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_shares_are_side_by_side_and_alike(count, world):
    shares = [Ranks(rank, world).share(count) for rank in range(world)]
    assert shares[0][0] == 0
    assert shares[-1][1] == count
    assert all(one[1] == following[0] for one, following in itertools.pairwise(shares))
    sizes = [stop - start for start, stop in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan"])
def test_a_timeout_is_a_number_of_seconds(monkeypatch, value):
    monkeypatch.setenv(ranks_module.TIMEOUT, value)
    with pytest.raises(OptionError, match="is no number of seconds above zero"):
        ranks_module._timeout()


def test_ranks_can_be_switched_off(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHGLM_RANKS", "off")
    assert Ranks.current() == Ranks(0, 1)


def test_a_world_of_one_needs_no_process_group(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert Ranks.current() == Ranks(0, 1)
    assert not torch.distributed.is_initialized()


def test_others_that_do_not_come_are_missed_within_the_timeout(monkeypatch):
    torchrun = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9"}
    for name, value in {**torchrun, "TORCHGLM_RANKS_TIMEOUT": "0.2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RankError, match=r"Rank 1 of 2 did not find the others at 127.0.0.1:9 within 0.2 s"):
        Ranks.current()


class Told(Exception):
    def __init__(self, one: int, two: int):
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize("error, kind", [(DataError("row 3"), DataError), (Told(1, 2), RankError)])
def test_errors_travel_as_what_they_are_where_they_can(error, kind):
    found = ranks_module._portable(error)
    assert type(found) is kind
    assert str(error) in str(found)


def shared(design, rank: int, sizes: tuple[int, ...]):
    """The design as `rank` holds it, of ranks that hold `sizes` rows each."""
    start = sum(sizes[:rank])
    own = design.stretch(start, start + sizes[rank])
    return replace(own, ranks=Ranks(rank, len(sizes)), shares=sizes)


@pytest.fixture(scope="module")
def design():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=90_000), "g": rng.choice(["a", "b"], 90_000)})
    data["y"] = np.arange(90_000.0)
    return {right: tg.glm(f"y ~ {right}", data).estimate.objective.design for right in ("x", "x + g")}


@pytest.mark.parametrize("right", ["x", "x + g"])
@pytest.mark.parametrize("sizes", [(90_000,), (30_000, 60_000), (0, 89_999, 1), (20_000, 20_000, 50_000)])
def test_a_sample_has_the_rows_that_one_process_samples(design, right, sizes):
    whole = design[right].sample(30_000).sample(7_000)
    held = [shared(design[right], rank, sizes).sample(30_000).sample(7_000) for rank in range(len(sizes))]
    assert {one.n for one in held} == {whole.n}
    rows = torch.cat([one.map(lambda block: block.y.clone()) for one in held])
    assert torch.equal(rows, whole.map(lambda block: block.y.clone()))


def test_minibatches_of_shares_hold_every_row_once(design):
    sizes = (10, 89_990 - 10_000, 10_000)
    batches = [list(shared(design["x"], rank, sizes).minibatches(4_000, seed=1)) for rank in range(3)]
    assert len({len(each) for each in batches}) == 1
    assert all(len({one.n for one in step}) == 1 for step in zip(*batches, strict=True))
    seen = torch.cat([one.y for each in batches for one in each])
    assert torch.equal(seen.sort().values, design["x"].y)


@dataclass(frozen=True)
class Pair(Ranks):
    """Two ranks, of which the other sends what this one does, its numbers times `factor` and more by `shift`."""

    factor: float = 1.0
    shift: float = 0.0

    def agree(self, facts, doing="", advice=""):
        assert facts["formula"] == "y ~ scale(x)"

    def gather(self, value, doing):
        return [value, value * self.factor + self.shift]


@pytest.mark.parametrize("factor, shift, same", [(1.0 + 1e-13, 1e-11, True), (1.0, 1e-3, False)])
def test_sums_that_cancel_are_compared_by_what_was_summed(design, monkeypatch, factor, shift, same):
    whole = design["x"]
    x = whole.columns[0].dense.table[0]
    assert abs(float(((x - x.mean()) / x.std()).sum())) < 1e-9
    scaled = whole._pick(lambda column: (column - x.mean()) / x.std() if column.data_ptr() == x.data_ptr() else column)
    monkeypatch.setattr(Ranks, "current", lambda: Pair(0, 2, factor, shift))
    call = {"formula": "y ~ scale(x)"}
    if same:
        assert among_ranks.held_by_all(scaled, call).ranks.world == 2
    else:
        with pytest.raises(RankError, match="other values in the columns of 'y ~ scale"):
            among_ranks.held_by_all(scaled, call)


@dataclass(frozen=True)
class Beside(Ranks):
    """The first of two ranks, of which the other sends `theirs`."""

    theirs: np.ndarray | None = None

    def agree(self, facts, doing="", advice=""):
        pass

    def gather(self, value, doing):
        return [value, self.theirs]


OTHER_ROWS = {
    "shuffled": lambda data: data.sample(frac=1.0, random_state=3),
    "blocks in another order": lambda data: data.iloc[np.r_[16_384:32_768, :16_384, 32_768 : len(data)]],
    "one response": lambda data: data.assign(y=data["y"] + (np.arange(len(data)) == 150_001)),
    "one code": lambda data: data.assign(g=np.where(np.arange(len(data)) == 6, data["g"].shift(-1), data["g"])),
    "two flags": lambda data: data.assign(b=np.where(np.arange(len(data)) < 2, ~data["b"], data["b"])),
}


@pytest.mark.parametrize("name", OTHER_ROWS)
def test_frames_that_differ_in_few_rows_or_in_their_order_are_refused(monkeypatch, name):
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=160_000), "b": np.arange(160_000) % 2 == 0})
    data["g"], data["y"] = np.where(np.arange(160_000) % 3 == 0, "one", "two"), rng.poisson(2.0, 160_000)
    mine, theirs = (
        tg.glm("y ~ x + b + g", rows, "poisson").estimate.objective.design for rows in (data, OTHER_ROWS[name](data))
    )
    for design, same in ((mine, True), (theirs, False)):
        monkeypatch.setattr(Ranks, "current", lambda d=design: Beside(0, 2, placed_sums(d).numpy()))
        if same:
            assert among_ranks.held_by_all(mine, {"formula": "y ~ x + b + g"}).ranks.world == 2
        else:
            with pytest.raises(RankError, match="rows in another order"):
                among_ranks.held_by_all(mine, {"formula": "y ~ x + b + g"})


def test_random_numbers_of_own_rows_differ_from_rank_to_rank(design):
    seeds = [own_seed(shared(design["x"], rank, (30_000, 60_000)), 7) for rank in (0, 1)]
    assert seeds[0] == 7 == own_seed(design["x"], 7)
    assert len({*seeds, own_seed(shared(design["x"], 2, (30_000, 30_000, 30_000)), 7)}) == 3
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    assert not torch.equal(*(torch.rand(5, generator=generator) for generator in generators))


def test_a_rank_without_rows_adds_nothing(design):
    empty = shared(design["x + g"], 0, (0, 90_000))
    (block,) = empty.blocks()
    assert block.rows == 0
    assert block.columns[0].rmatvec(block.y).abs().sum() == 0.0
    assert Sums.total([Sums({"y": one.y.sum()}) for one in empty.blocks()])["y"] == 0.0

"""Files: what comes back, what a bad one says, and that nothing half-done is left."""

from __future__ import annotations

import datetime
import json
import os
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest

from torchglm import errors, glm, load

FORMULAS = [
    "y ~ scale(x) + C(g) + offset(log(w))",
    "y ~ bs(x, df=4) + C(g, contr.sum):z",
    "y ~ poly(x, 2) + cr(z, df=3) + C(k, contr.treatment(2))",
    "y ~ np.log(w) + I(x**2)",
    "y ~ b + pd.cut(x, [-9, 0, 9])",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_saved_fit_predicts_the_same(data, tmp_path, formula):
    fit = glm(formula, data, "poisson")
    fit.save(tmp_path / "fit")
    assert (tmp_path / "fit").stat().st_size < 10_000
    for again in (load(tmp_path / "fit"), load(str(tmp_path / "fit"))):
        for name in ("params", "bse", "pvalues"):
            pd.testing.assert_series_equal(getattr(again, name), getattr(fit, name), check_exact=True)
        assert (again.llf, again.aic, again.null_deviance) == (fit.llf, fit.aic, fit.null_deviance)
        if "pd." not in formula:
            expected = fit.predict(data[:9], se=True)
            pd.testing.assert_frame_equal(again.predict(data[:9], se=True), expected, check_exact=True)
        assert str(again.summary()) == str(fit.summary())
        with pytest.raises(errors.OptionError, match="without its data"):
            _ = again.resid_deviance


LEVELS = {
    "numbers": [3, 1, 2],
    "floats": [0.1, 2.5, 1e300],
    "bool": [True, False, True],
    "dates": [datetime.date(2020, 1, d) for d in (1, 2, 3)],
    "times": list(pd.to_datetime(["2020-01-01 10:00:00.000000001", "2021-01-01 00:00:00.5", "2022-01-01 00:00:00.0"])),
    "zoned": list(pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01"], utc=True)),
    "text": ["ä", "'", '"\n'],
}


@pytest.mark.parametrize("kind", LEVELS)
def test_levels_of_any_kind_come_back(data, tmp_path, kind):
    labelled = data.assign(g=pd.Series([LEVELS[kind][i % 3] for i in range(60)]))
    fit = glm("y ~ C(g)", labelled, "poisson")
    fit.save(tmp_path / "fit")
    np.testing.assert_array_equal(load(tmp_path / "fit").predict(labelled), fit.predict(labelled))


def test_what_a_file_cannot_hold_says_so_when_it_is_needed(data, tmp_path):
    def local(v):
        return 2 * v

    fit = glm("y ~ local(x)", data, "poisson")
    fit.save(tmp_path / "fit")
    for again in (load(tmp_path / "fit"), pickle.loads(pickle.dumps(fit))):
        assert again.llf == fit.llf
        with pytest.raises(errors.DataError, match=r"'local'.*not in the saved file"):
            again.predict(data)


def test_rows_of_the_caller_are_not_saved(data, tmp_path):
    extra = np.arange(60.0) % 7
    fit = glm("y ~ extra", data, "poisson")
    fit.save(tmp_path / "fit")
    with zipfile.ZipFile(tmp_path / "fit") as archive:
        assert "6.0, 0.0, 1.0" not in archive.read("fit.json").decode()
    with pytest.raises(errors.DataError, match="'extra'"):
        load(tmp_path / "fit").predict(data)
    new = data.assign(extra=extra)
    np.testing.assert_array_equal(load(tmp_path / "fit").predict(new), fit.predict(new))


@pytest.fixture
def path(data, tmp_path):
    glm("y ~ x + g", data, "poisson").save(tmp_path / "fit")
    return tmp_path / "fit"


def rewrite(path, change=lambda content: None, drop=()):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name not in drop}
    content = json.loads(parts["fit.json"])
    change(content)
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, json.dumps(content) if name == "fit.json" else part)


CHANGES = {
    "a later version": lambda c: c.update(torchglm=99),
    "no version": lambda c: c.pop("torchglm"),
    "nothing": lambda c: c.clear(),
    "no facts": lambda c: c.pop("facts"),
    "strange facts": lambda c: c["facts"].update(strange=1),
    "no schema": lambda c: c.pop("schema"),
    "another number of coefficients": lambda c: c["schema"]["terms"].pop(),
    "a strange family option": lambda c: c["family"].update(strange=1),
    "text for totals": lambda c: c.update(totals="text"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file(path, change):
    rewrite(path, CHANGES[change])
    with pytest.raises(errors.SavedFileError, match="99" if change == "a later version" else "fit"):
        load(path)


def test_an_unknown_family_is_named(path):
    rewrite(path, lambda c: c["family"].update(name="mine"))
    with pytest.raises(errors.UnknownNameError, match="'mine'"):
        load(path)


def test_files_that_are_no_fit(path, data, tmp_path):
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:200], whole[:-30], pickle.dumps(glm("y ~ x", data))):
        path.write_bytes(content)
        with pytest.raises(errors.SavedFileError, match="not a saved fit"):
            load(path)
    path.write_bytes(whole)
    rewrite(path, drop=("theta.npy",))
    with pytest.raises(errors.SavedFileError, match="theta"):
        load(path)
    for none in (tmp_path, tmp_path / "none"):
        with pytest.raises(errors.SavedFileError):
            load(none)


def test_every_flipped_byte_is_an_error_or_harmless(path):
    whole, expected = path.read_bytes(), load(path).params
    for place in range(0, len(whole), 23):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            found = load(path).params
        except errors.TorchGLMError:
            continue
        pd.testing.assert_series_equal(found, expected, check_exact=True)


def test_a_file_with_pickles_inside_runs_nothing(path):
    rewrite(path, drop=("theta.npy",))
    with zipfile.ZipFile(path, "a") as archive, archive.open("theta.npy", "w") as file:
        np.save(file, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(errors.SavedFileError):
        load(path)


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError])
def test_an_interrupted_save_leaves_the_old_file_and_no_half_one(path, data, monkeypatch, trouble):
    old = path.read_bytes()

    def broken(*_, **__):
        raise trouble("disk full")

    fit = glm("y ~ z", data, "poisson")
    monkeypatch.setattr(np, "save", broken)
    with pytest.raises(trouble):
        fit.save(path)
    with pytest.raises(trouble):
        fit.save(path.with_name("other"))
    assert path.read_bytes() == old
    assert [p.name for p in path.parent.iterdir()] == ["fit"]


def test_two_may_save_to_one_file_at_once(data, tmp_path, monkeypatch):
    fit, replace, target = glm("y ~ x", data, "poisson"), os.replace, tmp_path / "fit"

    def interleaved(draft, place):
        monkeypatch.setattr(os, "replace", replace)
        fit.save(target)  # as another rank, between what this one has written and its place
        replace(draft, place)

    monkeypatch.setattr(os, "replace", interleaved)
    fit.save(target)
    assert load(target).params.equals(fit.params)
    assert list(tmp_path.iterdir()) == [target]

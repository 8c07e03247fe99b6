"""Names: who has them, who may not take them, and what a wrong one is told."""

from __future__ import annotations

import copy
import pickle

import pytest

from torchglm.errors import OptionError, UnknownNameError
from torchglm.families import Gamma, NegativeBinomial, Poisson, Quasi, Tweedie, resolve_family, resolve_link
from torchglm.families.links import Identity, InverseSquared, Log, Logit, Power, Sqrt
from torchglm.numerics.registry import Registry


def fresh(qualname: str = "Box", module: str = "somewhere") -> type:
    return type("Box", (), {"__qualname__": qualname, "__module__": module})


def test_a_name_and_its_aliases_mean_the_class():
    boxes: Registry = Registry("box")
    cls = fresh()
    boxes.add("box", cls, aliases=("crate",))
    assert boxes.get("box") is boxes.get("crate") is cls
    assert boxes.names() == ("box",)


@pytest.mark.parametrize("word", ["box", "crate"])
def test_a_name_is_given_once(word):
    boxes: Registry = Registry("box")
    boxes.add("box", fresh(), aliases=("crate",))
    with pytest.raises(OptionError, match=r"somewhere\.Box"):
        boxes.add(word, fresh("Other"))


def test_a_class_defined_again_replaces_itself():
    boxes: Registry = Registry("box")
    boxes.add("box", fresh())
    again = fresh()
    boxes.add("box", again)
    assert boxes.get("box") is again


def test_a_wrong_name_is_told_the_nearest():
    with pytest.raises(UnknownNameError, match=r"no family 'poison'.*'poisson'"):
        resolve_family("poison")
    with pytest.raises(UnknownNameError, match=r"no link 'logitt'.*'logit'"):
        Poisson(link="logitt")
    with pytest.raises(UnknownNameError, match=r"no variance function 'mu2'.*'mu\^2'"):
        Quasi(variance="mu2")


def test_what_is_neither_name_nor_class_nor_instance_is_refused():
    with pytest.raises(OptionError, match="got 3"):
        resolve_family(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="needs theta"):
        resolve_family("negative_binomial")
    with pytest.raises(OptionError, match="needs power"):
        resolve_link("power")


@pytest.mark.parametrize("power", [0.0, float("inf"), float("nan")])
def test_powers_that_are_no_link(power):
    with pytest.raises(OptionError, match="power"):
        Power(power)


@pytest.mark.parametrize("theta", [0.0, -1.0, float("inf"), float("nan")])
def test_thetas_that_are_no_family(theta):
    with pytest.raises(OptionError, match="theta"):
        NegativeBinomial(theta=theta)


@pytest.mark.parametrize("power", [0.5, -1.0, float("nan")])
def test_powers_that_are_no_family(power):
    with pytest.raises(OptionError, match="Tweedie"):
        Tweedie(power=power)


def test_names_classes_and_instances_are_equal():
    assert (
        resolve_family("gamma", "log") == resolve_family(Gamma, Log) == Gamma("log") == Gamma(Log()) == Gamma(link=Log)
    )
    assert resolve_link("1/mu^2") == InverseSquared()
    assert resolve_family(Gamma("sqrt")).link == Sqrt()
    assert resolve_family(Gamma("sqrt"), "log").link == Log()
    assert resolve_family(Quasi("log", variance="mu^2"), "sqrt") == Quasi("sqrt", variance="mu^2")
    assert resolve_family(Tweedie(power=1.2), "identity") == Tweedie("identity", power=1.2)


def test_default_links_are_those_of_r():
    defaults = {"gaussian": "identity", "binomial": "logit", "poisson": "log", "gamma": "inverse"}
    defaults |= {"inverse_gaussian": "inverse_squared", "quasi": "identity", "quasipoisson": "log"}
    assert {name: resolve_family(name).link.name for name in defaults} == defaults


def test_families_are_values(family):
    assert copy.deepcopy(family) == family
    assert pickle.loads(pickle.dumps(family)) == family
    assert hash(family) == hash(family.with_link(family.link))
    assert family != family.with_link(Power(3.0))


def test_values_cannot_be_changed():
    with pytest.raises(AttributeError):
        Poisson().link = Logit()
    with pytest.raises(AttributeError):
        Tweedie().power = 2.0  # pyright: ignore[reportAttributeAccessIssue]
    assert Poisson("identity").link == Identity()

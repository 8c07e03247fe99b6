"""The part of a saved file that only models of several linear predictors have: their predictors and likelihood."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from torchglm import families
from torchglm.errors import SavedFileError
from torchglm.families.custom import Custom
from torchglm.families.family import Family
from torchglm.families.likelihood import Likelihood
from torchglm.families.link import Link
from torchglm.inference.vector import Predictor, VectorModel
from torchglm.saving_custom import Given, custom_content, read_custom

LIKELIHOODS: dict[str, type] = {
    name: value
    for name, value in vars(families).items()
    if isinstance(value, type) and issubclass(value, Likelihood) and value is not Custom
}


@dataclass(frozen=True)
class Codec:
    """How a value, a family and a link are written."""

    value: Callable[[Any], Any]
    family: Callable[[Any], Any]
    link: Callable[[Any], Any]


def model_content(model: VectorModel, write: Codec) -> dict[str, Any]:
    """A model as JSON.

    Raises: SavedFileError for a likelihood that a file cannot hold.
    """
    plain = [f.name for f in fields(model) if f.name not in ("likelihood", "predictors")]
    return {
        "likelihood": _likelihood(model.likelihood, write),
        "predictors": [asdict(predictor) for predictor in model.predictors],
        "rest": {name: write.value(getattr(model, name)) for name in plain},
    }


def read_model(content: Mapping[str, Any], read: Codec, given: Given) -> VectorModel:
    """The model that `model_content` wrote; `given` is the likelihood of the user's own.

    Raises: SavedFileError where that is missing, or another.
    """
    if given is not None and "custom" not in content["likelihood"]:
        title = content["rest"]["title"].lower()
        raise SavedFileError(f"The fit is of {title}, not of a likelihood of one's own: leave likelihood= out.")
    rest = {name: read.value(value) for name, value in content["rest"].items()}
    rest["columns"] = {kind: tuple(names) for kind, names in rest["columns"].items()}
    return VectorModel(
        likelihood=_read_likelihood(content["likelihood"], read, given),
        predictors=tuple(Predictor(**predictor) for predictor in content["predictors"]),
        **rest,
    )


def _likelihood(likelihood: Likelihood, write: Codec) -> dict[str, Any]:
    name = type(likelihood).__name__
    if isinstance(likelihood, Custom):
        return {"custom": custom_content(likelihood)}
    if LIKELIHOODS.get(name) is not type(likelihood):
        raise SavedFileError(
            f"A likelihood of one's own, {name}, is code, which a file does not hold. Pickle the fit instead, where "
            "its functions can be imported."
        )
    names = [f.name for f in fields(likelihood)]  # pyright: ignore[reportArgumentType]  (each is a dataclass)
    return {"name": name, "fields": {name: _field(getattr(likelihood, name), write) for name in names}}


def _field(value: Any, write: Codec) -> Any:
    if isinstance(value, Link):
        return {"link": write.link(value)}
    if isinstance(value, Family):
        return {"family": write.family(value)}
    if isinstance(value, Likelihood):
        return {"likelihood": _likelihood(value, write)}
    return {"value": write.value(value)}


def _read_likelihood(content: Mapping[str, Any], read: Codec, given: Given = None) -> Likelihood:
    if "custom" in content:
        return read_custom(content["custom"], given)
    readers = {
        "link": read.link,
        "family": read.family,
        "likelihood": lambda inner: _read_likelihood(inner, read),
        "value": read.value,
    }
    values = {}
    for name, field in content["fields"].items():
        ((kind, inner),) = field.items()
        values[name] = readers[kind](inner)
    return LIKELIHOODS[content["name"]](**values)

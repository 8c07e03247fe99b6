"""A fit in one file, without its data: a zip of `fit.json` and `.npy` arrays. Loading runs no code.

fit.json     version, formula, terms, factors (levels, codings, transform state), family, link, facts, totals
theta.npy, covariance.npy     float64 (p,) and (p, p), formula's order, NaN where aliased

What is not there: the rows. A saved fit predicts, prints and tests; it has no residuals. A family or link of the
user's own is found by its registered name, which must exist when the file is loaded.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.categorical import Coded as Contrast
from torchglm.design.environment import Unavailable
from torchglm.design.extras import Extra
from torchglm.design.parts import Coding
from torchglm.design.schema import Categorical, Learned, Numeric, Schema
from torchglm.design.terms import Factor, Parsed, Term
from torchglm.errors import SavedFileError, TorchGLMError
from torchglm.families.family import FAMILIES, Family
from torchglm.families.link import LINKS, Link
from torchglm.fit import Fit
from torchglm.inference.record import Facts, Record, Stored
from torchglm.inference.totals import Totals
from torchglm.inference.vector import LogLikelihood, VectorRecord
from torchglm.saving_custom import Given
from torchglm.saving_vector import Codec, model_content, read_model
from torchglm.vector_fit import VectorFit

VERSION = 2
VECTOR_VERSION = 3  # a model of several linear predictors: a schema a formula, and its model
READABLE = (1, 2, 3)  # 1 had no reference_df
AnyRecord = TypeVar("AnyRecord", bound=Record)


NOT_SAVED = (
    "is of the session of the fit, which is not in the saved file. Make a column of it in the data before fitting."
)


def stored(record: Record) -> Record:
    """The record with every number computed and nothing that leads back to the data."""
    numbers = record.numbers
    kept = Stored(numbers.theta, numbers.totals, numbers.null, numbers.phi, numbers.covariance)
    exposure = None if record.exposure is None else Extra(record.exposure.role, record.exposure.factor)
    record = replace(
        record,
        schema=_without_caller(record.schema),
        numbers=kept,
        offsets=_without_values(record.offsets),
        exposure=exposure,
    )
    if isinstance(record, VectorRecord):
        schemas = tuple(map(_without_caller, record.schemas))
        record = replace(record, schemas=schemas, part_offsets=tuple(map(_without_values, record.part_offsets)))
    return record


def _without_caller(schema: Schema) -> Schema:
    caller = {
        name: value if _is_plain(value) else Unavailable(name, NOT_SAVED) for name, value in schema.caller.items()
    }
    return Schema(schema.parsed, schema.factors, schema.state, caller)


def _without_values(extras: tuple[Extra, ...]) -> tuple[Extra, ...]:
    return tuple(Extra(extra.role, extra.factor) for extra in extras)


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, np.ndarray, np.generic, Unavailable))


def save(record: Record, path: str | os.PathLike[str]) -> None:
    """Nothing; the record is written to `path`, all of it or nothing.

    Raises: SavedFileError for a family, link or state that a file cannot hold, and for a place that cannot be written.
    """
    target = Path(path)
    _check_place(target)
    record = stored(record)
    numbers = record.numbers
    content = {
        "torchglm": VERSION,
        "facts": asdict(record.facts),
        "family": _family(record.family),
        "schema": _schema(record.schema),
        "offsets": [_extra(extra) for extra in record.offsets],
        "exposure": None if record.exposure is None else _extra(record.exposure),
        "totals": asdict(numbers.totals),
        "null": asdict(numbers.null),
        "phi": numbers.phi,
    }
    if isinstance(record, VectorRecord):
        content |= _vector(record)
    text = json.dumps(content, default=_refuse)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")  # of this call alone: ranks save at once
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("fit.json", text)
            for name, tensor in (("theta", numbers.theta), ("covariance", numbers.covariance)):
                buffer = io.BytesIO()
                np.save(buffer, tensor.numpy(), allow_pickle=False)
                archive.writestr(f"{name}.npy", buffer.getvalue())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _vector(record: VectorRecord) -> dict[str, Any]:
    """What a model of several predictors has beside, and in place of, what every file has."""
    return {
        "torchglm": VECTOR_VERSION,
        "facts": {**asdict(record.facts), "response_levels": None},
        "classes": _encode(record.facts.response_levels),
        "schemas": [_schema(schema) for schema in record.schemas],
        "part_offsets": [[_extra(extra) for extra in extras] for extras in record.part_offsets],
        "model": model_content(record.model, Codec(_encode, _family, partial(_named, "link", registry=LINKS))),
    }


def _check_place(target: Path) -> None:
    if not target.parent.is_dir():
        raise SavedFileError(f"There is no folder {str(target.parent)!r} to save {target.name!r} in. Make it first.")
    if target.is_dir():
        raise SavedFileError(f"{str(target)!r} is a folder. Give the path of a file.")


def load(path: str | os.PathLike[str], *, likelihood: Given = None) -> Fit | VectorFit:
    """The fit saved at `path`, without data.

    likelihood  of a fit of custom(), whose functions are not in a file: the nll function, or
                `torchglm.families.custom(nll, predictors, mean=...)` where there was a mean too

    Raises: SavedFileError for a file that is none, or of a later version, and for a likelihood that is missing or not
    that of the fit; UnknownNameError for a family or link of the user's own that is not defined here.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = json.loads(archive.read("fit.json"))
            theta, covariance = (
                torch.from_numpy(np.load(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False))
                for name in ("theta", "covariance")
            )
    except FileNotFoundError as error:
        raise SavedFileError(f"There is no file {str(path)!r}.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, OSError, NotImplementedError) as error:
        raise SavedFileError(f"{str(path)!r} is not a saved fit, or is damaged: {error}") from error
    if not isinstance(content, dict) or content.get("torchglm") not in READABLE:
        found = content.get("torchglm") if isinstance(content, dict) else None
        raise SavedFileError(f"{str(path)!r} has format {found!r}; this torchglm reads 1 to {VECTOR_VERSION}.")
    try:
        if content["torchglm"] == VECTOR_VERSION:
            return VectorFit(_read_vector(content, theta, covariance, likelihood))
        if likelihood is not None:
            raise SavedFileError("The fit is of glm(), whose family is in the file: leave likelihood= out.")
        return Fit(_read_record(content, theta, covariance))
    except TorchGLMError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise SavedFileError(f"{str(path)!r} is damaged: {type(error).__name__}: {error}") from error


def _read_record(content: dict[str, Any], theta: Tensor, covariance: Tensor) -> Record:
    numbers = Stored(theta, Totals(**content["totals"]), Totals(**content["null"]), content["phi"], covariance)
    facts = content["facts"]
    if content["torchglm"] == 1:
        facts["reference_df"] = facts["n"] - facts["rank"] if facts["use_t"] else None
    facts["coefficient_dfs"] = None if facts.get("coefficient_dfs") is None else tuple(facts["coefficient_dfs"])
    facts["estimated"] = {name: tuple(value) for name, value in facts.get("estimated", {}).items()}
    facts["response_levels"] = None if facts["response_levels"] is None else tuple(facts["response_levels"])
    facts["notes"] = tuple(facts.get("notes", ()))
    record = Record(
        _read_schema(content["schema"]),
        _read_family(content["family"]),
        Facts(**facts),
        numbers,
        tuple(_read_extra(extra) for extra in content["offsets"]),
        None if content["exposure"] is None else _read_extra(content["exposure"]),
    )
    return record if content["torchglm"] == VECTOR_VERSION else _checked(record, theta, covariance)


def _checked(record: AnyRecord, theta: Tensor, covariance: Tensor) -> AnyRecord:
    p = len(record.names)
    if theta.shape != (p,) or covariance.shape != (p, p):
        raise ValueError(f"{p} names, {tuple(theta.shape)} coefficients and {tuple(covariance.shape)} covariances")
    return record


def _read_vector(content: dict[str, Any], theta: Tensor, covariance: Tensor, given: Given) -> VectorRecord:
    plain = _read_record(content, theta, covariance)
    totals, null = LogLikelihood(**content["totals"]), LogLikelihood(**content["null"])
    classes = _decode(content["classes"])
    record = VectorRecord(
        plain.schema,
        plain.family,
        replace(plain.facts, response_levels=None if classes is None else tuple(classes)),
        Stored(theta, totals, null, content["phi"], covariance),
        plain.offsets,
        plain.exposure,
        model=read_model(content["model"], Codec(_decode, _read_family, _read_link), given),
        schemas=tuple(map(_read_schema, content["schemas"])),
        part_offsets=tuple(tuple(map(_read_extra, extras)) for extras in content["part_offsets"]),
    )
    return _checked(record, theta, covariance)


def _refuse(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise SavedFileError(f"A fit that holds {type(value).__name__} {value!r} cannot be saved. Pickle it instead.")


def _named(kind: str, value: Any, registry: Any, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    if value.name not in registry.names():
        raise SavedFileError(
            f"The {kind} {type(value).__name__} has no registered name, by which a file could be read again. "
            f'Define it as class {type(value).__name__}(..., name="...").'
        )
    return {"name": value.name, **{f.name: getattr(value, f.name) for f in fields(value) if f.name not in skip}}


def _family(family: Family) -> dict[str, Any]:
    return {**_named("family", family, FAMILIES, skip=("link",)), "link": _named("link", family.link, LINKS)}


def _read_family(content: dict[str, Any]) -> Family:
    link = _read_link(content.pop("link"))
    return FAMILIES.get(content.pop("name"))(**content, link=link)


def _read_link(content: dict[str, Any]) -> Link:
    content = dict(content)
    return LINKS.get(content.pop("name"))(**content)


def _extra(extra: Extra) -> dict[str, Any]:
    return {"role": extra.role, "factor": None if extra.factor is None else [extra.factor.text, extra.factor.kind]}


def _read_extra(content: dict[str, Any]) -> Extra:
    return Extra(content["role"], None if content["factor"] is None else Factor(*content["factor"]))


def _schema(schema: Schema) -> dict[str, Any]:
    parsed = schema.parsed
    return {
        "text": parsed.text,
        "response": None if parsed.response is None else [parsed.response.text, parsed.response.kind],
        "terms": [[[f.text, f.kind] for f in term.factors] for term in parsed.terms],
        "offsets": [[f.text, f.kind] for f in parsed.offsets],
        "factors": {name: _learned(learned) for name, learned in schema.factors.items()},
        "state": _encode(schema.state),
        "caller": _encode(schema.caller),
    }


def _read_schema(content: dict[str, Any]) -> Schema:
    parsed = Parsed(
        content["text"],
        None if content["response"] is None else Factor(*content["response"]),
        tuple(Term(tuple(Factor(*f) for f in term)) for term in content["terms"]),
        tuple(Factor(*f) for f in content["offsets"]),
    )
    factors = {name: _read_learned(learned) for name, learned in content["factors"].items()}
    return Schema(parsed, factors, _decode(content["state"]), _decode(content["caller"]))


def _learned(learned: Learned) -> dict[str, Any]:
    if isinstance(learned, Numeric):
        return {"kind": "numeric", "value": [learned.names, learned.spans_intercept, learned.dropped]}
    codings = [_contrast(learned.full), _contrast(learned.reduced)]
    return {"kind": "categorical", "value": [_encode(list(learned.levels)), codings, learned.spans_intercept]}


def _read_learned(content: dict[str, Any]) -> Learned:
    if content["kind"] == "numeric":
        names, spans, dropped = content["value"]
        return Numeric(tuple(names), spans, dropped)
    levels, codings, spans = content["value"]
    full, reduced = map(_read_contrast, codings)
    return Categorical(tuple(_decode(levels)), full, reduced, spans)


def _contrast(contrast: Contrast) -> dict[str, Any]:
    coding = contrast.coding
    return {
        "names": contrast.names,
        "width": coding.width,
        "index": None if coding.index is None else coding.index.tolist(),
        "matrix": None if coding.matrix is None else coding.matrix.tolist(),
    }


def _read_contrast(content: dict[str, Any]) -> Contrast:
    index, matrix = content["index"], content["matrix"]
    coding = Coding(
        content["width"],
        None if index is None else torch.tensor(index, dtype=torch.int64),
        None if matrix is None else torch.tensor(matrix, dtype=torch.float64),
    )
    return Contrast(coding, tuple(content["names"]))


def _encode(value: Any) -> Any:
    """A value as JSON; what JSON has not is an object with one key that names its kind."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        return _encode(value.item())
    if isinstance(value, Mapping):
        return {"pairs": [[_encode(k), _encode(v)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list": [_encode(v) for v in value]}
    if isinstance(value, Unavailable):
        return {"unavailable": [value.name, value.why]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, date):  # a level that is a date, datetime or pandas Timestamp
        return {"time" if isinstance(value, datetime) else "date": value.isoformat()}
    if isinstance(value, pd.Interval):
        return {"interval": [_encode(value.left), _encode(value.right), value.closed]}
    return _refuse(value)


def _decode(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    kind = next(iter(content))
    return {
        "array": lambda: np.array(content["array"], dtype=content["dtype"]),
        "pairs": lambda: {_decode(k): _decode(v) for k, v in content["pairs"]},
        "list": lambda: [_decode(v) for v in content["list"]],
        "unavailable": lambda: Unavailable(*content["unavailable"]),
        "date": lambda: date.fromisoformat(content["date"]),
        "interval": lambda: pd.Interval(*map(_decode, content["interval"])),
        "time": lambda: pd.Timestamp(content["time"]),
    }[kind]()

"""The links, under a short name: `torchglm.links.Logit`."""

from __future__ import annotations

from torchglm.families.links import *  # noqa: F403
from torchglm.families.links import __all__ as __all__

"""The kit: one open index folder and the verbs on it, the same as the command line's.

`verbs.py` has documents in and packets out, `calls.py` whole agent calls, `upkeep.py` what keeps an index well, `tuning.py` what
is fitted to judged questions, `wiring.py` the parts.
"""

from __future__ import annotations

from contextkit.kit.info import IndexInfo
from contextkit.kit.verbs import Kit, open  # noqa: A004 - `ck.open` reads like the builtin on purpose
from contextkit.kit.wiring import Limits, Where

__all__ = ["IndexInfo", "Kit", "Limits", "Where", "open"]

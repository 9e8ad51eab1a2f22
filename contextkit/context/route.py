"""Which of several models gets a call: those that cannot serve it are dropped with a reason, the cheapest good enough one wins.

Deterministic, and without asking any model: windows, reply limits and prices come from the model catalogue, tokens from planning
the call for each candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from contextkit.context.account import AgentReceipt
from contextkit.context.call import AgentCall
from contextkit.context.checked import Checked
from contextkit.context.facts import known_model
from contextkit.context.packet import Record
from contextkit.errors import BudgetExceeded, InputError, UnknownModel

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket


class Candidate(Checked):
    """A model that may get a call, with what only the user knows of it.

    Attributes:
        model: its name.
        tier: how good it is for this kind of task; larger is better.
        data_classes: the classes of data that it may see, for example {"public", "internal"}; None: all.
        seconds: how long it usually takes to answer, or None where unknown.
    """

    model: str
    tier: int = 0
    data_classes: frozenset[str] | None = None
    seconds: float | None = None


class Option(Record):
    """What is known of one candidate for one call.

    Attributes:
        model: its name.
        tier: as given.
        fits: whether it can serve the call.
        why: why not, or what it would cost, in words.
        tokens: of input, by its own count; 0 where it does not fit.
        dollars: for input, cached part included, and the whole reply reserve; None where prices are not known.
    """

    model: str
    tier: int
    fits: bool
    why: str
    tokens: int = 0
    dollars: float | None = None


class Route(Record):
    """The choice among candidates.

    Attributes:
        model: the chosen one.
        why: in words, with what the next better one would cost.
        options: all candidates in the order given.
    """

    model: str
    why: str
    options: tuple[Option, ...]


def route(
    plan: Callable[[AgentCall], AgentPacket],
    call: AgentCall,
    candidates: Sequence[str | Candidate],
    *,
    tier: int = 0,
    data_class: str | None = None,
    deadline: float | None = None,
) -> Route:
    """The cheapest candidate of at least that tier that can serve the call; ties go to the higher tier, then to the first.

    Args:
        plan: builds a call's packet without storing anything.
        call: its `model` is replaced by each candidate's; without a budget each candidate's own window holds.
        candidates: names, or names with what is known of them.
        tier: the least quality that the task allows.
        data_class: of what the call holds.
        deadline: seconds in which the answer has to be there.

    Raises:
        InputError: no candidates, a name twice, or none that can serve the call; the message gives the reason of each.
    """
    given = [c if isinstance(c, Candidate) else Candidate(model=c) for c in candidates]
    names = [c.model for c in given]
    if not given or len(set(names)) < len(names):
        raise InputError(f"route needs candidates, each once, not {names}")
    options = [_option(plan, call, c, (tier, data_class, deadline)) for c in given]
    fitting = [o for o in options if o.fits]
    if not fitting:
        raise InputError("no candidate can serve the call: " + "; ".join(f"{o.model}: {o.why}" for o in options))
    best = min(fitting, key=lambda o: (o.dollars is None, o.dollars or 0.0, -o.tier))
    return Route(model=best.model, why=_reason(best, fitting), options=tuple(options))


def _option(
    plan: Callable[[AgentCall], AgentPacket], call: AgentCall, candidate: Candidate, wanted: tuple[int, str | None, float | None]
) -> Option:
    tier, data_class, deadline = wanted
    out: dict[str, object] = {"model": candidate.model, "tier": candidate.tier}
    refused = ""
    if candidate.tier < tier:
        refused = f"its tier {candidate.tier} is below {tier}"
    elif data_class is not None and candidate.data_classes is not None and data_class not in candidate.data_classes:
        refused = f"it may not see {data_class!r} data"
    elif deadline is not None and candidate.seconds is not None and candidate.seconds > deadline:
        refused = f"it takes about {candidate.seconds:g} seconds, {deadline:g} are left"
    if refused:
        return Option.model_validate({**out, "fits": False, "why": refused})
    try:
        packet = plan(call.model_copy(update={"model": candidate.model}))
    except (BudgetExceeded, UnknownModel, InputError) as error:
        return Option.model_validate({**out, "fits": False, "why": str(error)})
    return Option.model_validate({**out, **_priced(packet.receipt, candidate.model, call)})


def _priced(receipt: AgentReceipt, model: str, call: AgentCall) -> dict[str, object]:
    info = known_model(model, call.catalogue)
    if info.reply_limit is not None and receipt.reply_reserve > info.reply_limit:
        return {"fits": False, "why": f"it replies with at most {info.reply_limit} tokens, {receipt.reply_reserve} are asked for"}
    if receipt.dollars is None or info.output_price is None:
        return {"fits": True, "why": f"{receipt.tokens} tokens, price not known", "tokens": receipt.tokens}
    dollars = round(receipt.dollars + receipt.reply_reserve * info.output_price / 1e6, 8)
    cached = receipt.cached_prefix_usable
    why = f"{receipt.tokens} tokens in, {cached} of them cached, at most {receipt.reply_reserve} out: ${dollars:.6f}"
    return {"fits": True, "why": why, "tokens": receipt.tokens, "dollars": dollars}


def _reason(best: Option, fitting: Sequence[Option]) -> str:
    price = "of unknown price" if best.dollars is None else f"${best.dollars:.6f}"
    said = f"{best.model} is the cheapest of {len(fitting)} that can serve the call ({price})"
    better = [o for o in fitting if o.tier > best.tier and o.dollars is not None]
    if better:
        following = min(better, key=lambda o: (o.tier, o.dollars))
        said += f"; the next better, {following.model} of tier {following.tier}, would cost ${following.dollars:.6f}"
    return said

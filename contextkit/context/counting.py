"""How a call's tokens count and how many there may be: counter, framing, budget and reply reserve, settled once a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contextkit.context.call import AgentCall
from contextkit.context.compact import message_cost
from contextkit.context.facts import counted_as, known_model
from contextkit.context.history import Message
from contextkit.context.parts import check_parts
from contextkit.errors import InputError
from contextkit.tokens import counter_for, framing_for, remembered

if TYPE_CHECKING:
    from contextkit.protocols import TokenCounter
    from contextkit.tokens import Framing, ModelInfo


@dataclass(frozen=True, slots=True)
class Counting:
    """How a call's tokens count, and how many there may be.

    Attributes:
        counter: of texts.
        framing: of the provider's format.
        model: what is known of the model, or None where none is named.
        budget: input and reply reserve together.
        reserve: of the reply.
        notes: what was made to fit.
    """

    counter: TokenCounter
    framing: Framing
    model: ModelInfo | None
    budget: int
    reserve: int
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, call: AgentCall) -> Counting:
        """Raises InputError where there is no budget, UnknownModel where nobody knows the model."""
        model = None if call.model is None else known_model(call.model, call.catalogue)
        counter = remembered(counter_for(counted_as(call.model, call.catalogue)))
        window = None if model is None else model.window
        notes = []
        budget = call.budget
        if budget is None:
            if window is None:
                what = f"the window of {call.model!r} is not known" if call.model else "no model is named"
                raise InputError(f"{what} and there is no budget: give AgentCall(budget=...)")
            budget = window
        elif window is not None and budget > window:
            notes.append(f"the budget of {budget} is more than the window of {call.model}: {window} hold")
            budget = window
        framing = framing_for(call.model)
        for field, messages in (("history", call.history), ("steps", call.steps)):
            for message in messages:
                if message.parts:
                    check_parts(message.parts, f"{field}[{message.place}]", framing, call.model or "")
        reserve = min(1024, budget // 4) if call.reply_reserve is None else call.reply_reserve
        if model is not None and model.reply_limit is not None and reserve > model.reply_limit:
            notes.append(
                f"{call.model} replies with at most {model.reply_limit} tokens: the rest of the reserve of {reserve} is idle"
            )
        return cls(counter, framing, model, budget, reserve, tuple(notes))

    def message(self, message: Message) -> int:
        """Tokens of one message with its framing."""
        return message_cost(message, self.counter, self.framing)

    def turn(self, text: str) -> int:
        """Tokens of a user's message with that text."""
        return self.message(Message("user", text))

    def system(self, text: str) -> int:
        """Tokens of a system message; 0 for none."""
        return self.framing.message + self.counter.count("system") + self.counter.count(text) if text else 0

"""The kit's verbs as LangChain tools, by LangChain's own tool suites and by hand."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

import contextkit as ck
from contextkit.adapters.langchain import kit_tools
from contextkit.errors import InputError
from contextkit.testing import TinyEmbedder

SCOPE = {"user": "ann"}


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("notes") / "index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id="pump", text="The pump runs at 40 bar.", title="Pump")])
        yield kit


class Tools:
    name: str
    example: dict[str, object]

    @pytest.fixture(autouse=True)
    def _opened(self, notes):
        self.notes = notes

    @pytest.fixture
    def tool(self, notes):
        return self.tool_constructor

    @property
    def tool_constructor(self) -> BaseTool:
        return next(tool for tool in kit_tools(self.notes, scope=SCOPE) if tool.name == self.name)

    @property
    def tool_invoke_params_example(self):
        return self.example


class TestSearch(Tools, ToolsIntegrationTests):
    name, example = "search", {"query": "pressure of the pump", "count": 2}


class TestContext(Tools, ToolsIntegrationTests):
    name, example = "context", {"question": "At what pressure does the pump run?"}


class TestRemember(Tools, ToolsIntegrationTests):
    name, example = "remember", {"fact": "Ann's office is in Bremen.", "key": "ann/office"}


class TestRecall(Tools, ToolsIntegrationTests):
    name, example = "recall", {"query": "office"}


class TestSearchAsAUnit(Tools, ToolsUnitTests):
    name, example = "search", {"query": "pump"}


def test_the_tools_of_a_kit(kit):
    assert [t.name for t in kit_tools(kit)] == ["search", "context"]
    tools = {t.name: t for t in kit_tools(kit, scope=SCOPE)}
    assert list(tools) == ["search", "context", "recall", "remember"]
    assert tools["search"].invoke({"query": "x"}) == "The documents hold nothing on this."
    assert "Remembered" in tools["remember"].invoke({"fact": "Ann's car is blue."})
    assert "blue" in asyncio.run(tools["recall"].ainvoke({"query": "What colour is the car?"}))
    with pytest.raises(InputError):
        kit_tools(kit, budget=0)


def test_what_the_model_got_wrong_comes_back_to_it(kit):
    search = kit_tools(kit)[0]
    said = search.invoke({"name": "search", "args": {"query": "pump", "count": 1000}, "id": "c1", "type": "tool_call"})
    assert (said.status, "1 to 50" in said.content) == ("error", True)
    assert asyncio.run(search.ainvoke({"query": "  "})).startswith("the question")


async def test_a_sync_call_inside_an_event_loop(kit):
    assert kit_tools(kit)[0].invoke({"query": "x"}) == "The documents hold nothing on this."


def test_a_read_only_kit_does_not_offer_to_remember(tmp_path):
    with ck.open(tmp_path / "i", embedder=TinyEmbedder()):
        pass
    with ck.open(tmp_path / "i", embedder=TinyEmbedder(), read_only=True) as kit:
        assert [t.name for t in kit_tools(kit, scope=SCOPE)] == ["search", "context", "recall"]

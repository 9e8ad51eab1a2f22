"""The server that the conformance suite is run against: ours, from its own factory, with the fixtures that the suite asks for.

The suite calls tools, resources and prompts by names of its own (`test_simple_text`, `test://static-text` ...). They are added
here: tools by the factory's `more`, the two plain prompts as templates of the index, and what our server does not offer at all
(logging levels, completion, subscriptions, binary resources) as handlers beside ours. Transport, session, host checks, dispatch,
listing and our own tools are what is shipped.

    python tests/adapters/mcp/conformance_server.py        # prints its URL and serves until it is killed
"""

from __future__ import annotations

import tempfile

import anyio
from mcp import types
from mcp.server.streamable_http import EventStore

import contextkit as ck
from contextkit.adapters.mcp_server import Tool, Work, bound, build_server, http_app
from contextkit.adapters.mcp_server.tools import failed
from contextkit.context.templates import TemplateStore
from contextkit.testing import TinyEmbedder

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAA"
NO_ARGUMENTS = {"type": "object", "properties": {}}


def text(value):
    return types.TextContent(type="text", text=value)


def embedded(uri, body, media_type):
    return types.EmbeddedResource(type="resource", resource=types.TextResourceContents(uri=uri, text=body, mime_type=media_type))


def result(*content):
    return types.CallToolResult(content=list(content))


def fixed(*content):
    async def run(work, context, given):
        return result(*content)

    return run


async def fail(work, context, given):
    return failed("This tool intentionally returns an error for testing")


async def report(work, context, given):
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100, f"{done} of 100")
        await anyio.sleep(0.02)
    return result(text("done"))


async def log(work, context, given):
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        params = types.LoggingMessageNotificationParams(level="info", data=line)
        await context.session.send_notification(
            types.LoggingMessageNotification(params=params), related_request_id=context.request_id
        )
        await anyio.sleep(0.02)
    return result(text("done"))


async def sample(work, context, given):
    message = types.SamplingMessage(role="user", content=text(given["prompt"]))
    asked = types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[message], max_tokens=100))
    answer = await context.session.send_request(asked, types.CreateMessageResult)
    return result(text(f"LLM response: {answer.content.text}"))


def elicit(schema, name="Elicitation completed"):
    async def run(work, context, given):
        params = types.ElicitRequestFormParams(message=given.get("message", "Please answer"), requested_schema=schema)
        answer = await context.session.send_request(types.ElicitRequest(params=params), types.ElicitResult)
        return result(text(f"{name}: action={answer.action}, content={answer.content}"))

    return run


async def reconnect(work, context, given):
    if context.close_sse_stream is not None:
        await context.close_sse_stream()
    await anyio.sleep(0.1)
    return result(text("Reconnection test completed successfully"))


PERSON = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    },
    "required": ["username", "email"],
}
DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}
OPTIONS = ["option1", "option2", "option3"]
TITLED = [{"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second", "Third"), 1)]
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": OPTIONS},
        "titledSingle": {"type": "string", "oneOf": TITLED},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
        "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
    },
}
NEW_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}
IMAGE = types.ImageContent(type="image", data=PNG, mime_type="image/png")
AUDIO = types.AudioContent(type="audio", data=WAV, mime_type="audio/wav")
ONE_TEXT = {"type": "object", "properties": {"prompt": {"type": "string"}, "message": {"type": "string"}}}
FIXTURES = {
    "test_simple_text": (fixed(text("This is a simple text response for testing.")), NO_ARGUMENTS),
    "test_image_content": (fixed(IMAGE), NO_ARGUMENTS),
    "test_audio_content": (fixed(AUDIO), NO_ARGUMENTS),
    "test_embedded_resource": (
        fixed(embedded("test://embedded-resource", "This is an embedded resource content.", "text/plain")),
        NO_ARGUMENTS,
    ),
    "test_multiple_content_types": (
        fixed(
            text("Multiple content types test:"),
            IMAGE,
            embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
        ),
        NO_ARGUMENTS,
    ),
    "test_error_handling": (fail, NO_ARGUMENTS),
    "test_tool_with_progress": (report, NO_ARGUMENTS),
    "test_tool_with_logging": (log, NO_ARGUMENTS),
    "test_sampling": (sample, ONE_TEXT),
    "test_elicitation": (elicit(PERSON, "User response"), ONE_TEXT),
    "test_elicitation_sep1034_defaults": (elicit(DEFAULTS), NO_ARGUMENTS),
    "test_elicitation_sep1330_enums": (elicit(ENUMS), NO_ARGUMENTS),
    "test_reconnection": (reconnect, NO_ARGUMENTS),
    "json_schema_2020_12_tool": (fixed(text("fine")), NEW_SCHEMA),
}


class Events(EventStore):
    """Every event in memory, so that a stream can be taken up again."""

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id, send_callback):
        from mcp.server.streamable_http import EventMessage

        at = int(last_event_id)
        stream = self.events[at - 1][0]
        for number, (stream_id, message) in enumerate(self.events[at:], at + 1):
            if stream_id == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def resource(uri):
    if uri == "test://static-text":
        return types.TextResourceContents(
            uri=uri, text="This is the content of the static text resource.", mime_type="text/plain"
        )
    if uri == "test://static-binary":
        return types.BlobResourceContents(uri=uri, blob=PNG, mime_type="image/png")
    if uri.startswith("test://template/"):
        body = f'{{"id":"{uri.split("/")[3]}","templateTest":true}}'
        return types.TextResourceContents(uri=uri, text=body, mime_type="application/json")
    return None


def prompt(params):
    given = params.arguments or {}
    if params.name == "test_prompt_with_embedded_resource":
        first = embedded(given["resourceUri"], "Embedded resource content for testing.", "text/plain")
        rest = "Please process the embedded resource above."
    elif params.name == "test_prompt_with_image":
        first, rest = IMAGE, "Please analyze the image above."
    else:
        return None
    return [types.PromptMessage(role="user", content=part) for part in (first, text(rest))]


def with_fixtures(server):
    """Adds what the suite asks of a server and ours does not offer; everything else goes to our handlers."""
    ours = {method: server.get_request_handler(method).handler for method in ("resources/read", "prompts/get")}

    async def read(context, params):
        found = resource(str(params.uri))
        return types.ReadResourceResult(contents=[found]) if found else await ours["resources/read"](context, params)

    async def get(context, params):
        found = prompt(params)
        return types.GetPromptResult(messages=found) if found else await ours["prompts/get"](context, params)

    async def nothing(context, params):
        return types.EmptyResult()

    async def complete(context, params):
        return types.CompleteResult(completion=types.Completion(values=[], total=0, has_more=False))

    for method, params, handler in (
        ("resources/read", types.ReadResourceRequestParams, read),
        ("prompts/get", types.GetPromptRequestParams, get),
        ("logging/setLevel", types.SetLevelRequestParams, nothing),
        ("resources/subscribe", types.SubscribeRequestParams, nothing),
        ("resources/unsubscribe", types.UnsubscribeRequestParams, nothing),
        ("completion/complete", types.CompleteRequestParams, complete),
    ):
        server.add_request_handler(method, params, handler)
    return server


def made(folder):
    """The kit and the server, over an index with a few documents and templates."""
    kit = ck.open(folder, embedder=TinyEmbedder())
    kit.add([ck.Document(f"note-{n}", f"Note {n} tells of subject {n}.", title=f"Note {n}") for n in range(5)])
    templates = TemplateStore(folder)
    templates.put("test_simple_prompt", "This is a simple prompt for testing.")
    templates.put("test_prompt_with_arguments", "Prompt with arguments: arg1='{{ arg1 }}', arg2='{{ arg2 }}'")
    more = [
        Tool(types.Tool(name=name, description=f"Fixture {name}", input_schema=schema), run)
        for name, (run, schema) in FIXTURES.items()
    ]
    return kit, with_fixtures(build_server(Work(kit, write=True), more=more))


async def main():
    import uvicorn

    kit, server = made(tempfile.mkdtemp(prefix="contextkit-conformance-") + "/index")
    app = http_app(server, events=Events(), retry=50)
    with bound("127.0.0.1", 0) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
        await uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).serve(sockets=[listening])
    kit.close()


if __name__ == "__main__":
    anyio.run(main)

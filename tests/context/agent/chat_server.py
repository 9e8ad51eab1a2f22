"""A real HTTP endpoint of OpenAI's chat form on the loopback, whose answers a test decides."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from contextkit.tokens import counter_for, framing_for, message_tokens


class ChatServer(ThreadingHTTPServer):
    """Answers `/v1/chat/completions`; refuses what is over its window, as providers do."""

    def __init__(self, window: int = 4096) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.window = window
        self.requests: list[dict] = []
        self.answers: list[tuple[int, object]] = []  # the next ones; then a summary each
        self.over: list[int] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: ChatServer = self.server  # type: ignore[assignment]
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server.requests.append({**body, "path": self.path, "key": self.headers.get("authorization")})
        needed = message_tokens(body["messages"], counter_for("gpt-4o-mini"), framing_for("gpt-4o-mini")) + body["max_tokens"]
        if needed > server.window:
            server.over.append(needed)
            status, answer = (
                400,
                {"error": {"message": f"maximum context length is {server.window}", "code": "context_length_exceeded"}},
            )
        elif server.answers:
            status, answer = server.answers.pop(0)
        else:
            text = f"The user asked for {len(server.requests)} things; the key was KEY-3."
            answer = {
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": needed - body["max_tokens"], "completion_tokens": 14, "total_tokens": needed},
            }
            status = 200
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass

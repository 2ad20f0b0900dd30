"""A local server that speaks Anthropic's and OpenAI's protocols, keeps books, and misbehaves on order."""

import json
import os
import signal
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EFFORTS = ("low", "medium", "high")
SECRET = "sk-secret"


class Reply:
    """What the model says to one request."""

    def __init__(
        self,
        text: str = '{"choice": "A"}',
        *,
        stop: str = "end_turn",
        category: str | None = None,
        batch: str = "succeeded",
        thinking: bool = False,
    ) -> None:
        self.text, self.stop, self.category, self.batch, self.thinking = text, stop, category, batch, thinking


class FakeLLM:
    """The service's state. `faults` are used up in order, by the call that they name."""

    def __init__(self) -> None:
        self.reply: Callable[[dict[str, Any]], Reply] = lambda body: Reply()
        self.faults: dict[str, deque[Any]] = {}
        self.billed: Counter[str] = Counter()
        """How often each question, by its last message, was carried out."""
        self.bodies: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.batches: dict[str, dict[str, Any]] = {}
        self.polls = 1
        """Times that a batch is still in progress when asked."""
        self.capabilities: dict[str, Any] | None = capabilities()
        self.refuses: Callable[[dict[str, Any]], str | None] = lambda body: None
        """Why an OpenAI request is malformed."""
        self.under_way = 0
        self.most_under_way = 0
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def fault(self, call: str, *what: Any) -> None:
        """The next calls named `call` meet these: `(status, headers)`, `drop_before`, `drop_after`, `cut`,
        `("kill_before", pid)`, `("kill_after", pid)` with a function for the process's id, or None."""
        self.faults.setdefault(call, deque()).extend(what)

    def next_fault(self, call: str) -> Any:
        with self.lock:
            self.calls.append(call)
            queue = self.faults.get(call)
            return queue.popleft() if queue else None

    def bill(self, body: dict[str, Any]) -> None:
        with self.lock:
            self.billed[body["messages"][-1]["content"]] += 1
            self.bodies.append(body)

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        """Anthropic's answer to one request; billed."""
        self.bill(body)
        reply = self.reply(body)
        content: list[dict[str, Any]] = []
        if reply.thinking:
            content.append({"type": "thinking", "thinking": "hm", "signature": "s"})
        if body.get("tools") and reply.text:
            tool = {"type": "tool_use", "id": "t", "name": "answer", "input": json.loads(reply.text)}
            content.append(tool)
        elif reply.text:
            content.append({"type": "text", "text": reply.text})
        details = {"type": "refusal", "category": reply.category} if reply.stop == "refusal" else None
        return {
            "id": f"msg_{len(self.bodies)}",
            "type": "message",
            "role": "assistant",
            "model": body["model"] + "-20261101",
            "content": content,
            "stop_reason": reply.stop,
            "stop_sequence": None,
            "stop_details": details,
            "usage": {
                "input_tokens": 100,
                "output_tokens": 10,
                "cache_creation_input_tokens": 20,
                "cache_read_input_tokens": 0,
            },
        }

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """OpenAI's answer; billed."""
        self.bill(body)
        reply = self.reply(body)
        refused = reply.stop == "refusal"
        stops = {"end_turn": "stop", "max_tokens": "length", "refusal": "stop"}
        said = {
            "role": "assistant",
            "content": None if refused else reply.text,
            "refusal": "I cannot help with that." if refused else None,
        }
        choice = {"index": 0, "message": said, "finish_reason": stops[reply.stop], "logprobs": None}
        return {
            "id": f"chatcmpl-{len(self.bodies)}",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [choice],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }

    def make_batch(self, requests: list[dict[str, Any]]) -> dict[str, Any]:
        """All of it is carried out, and billed, whether or not anyone asks for the results."""
        assert len({r["custom_id"] for r in requests}) == len(requests)
        number = f"msgbatch_{len(self.batches)}"
        self.batches[number] = kept = {"requests": requests, "polls": self.polls, "made": datetime.now(UTC)}
        kept["results"] = [self.result(request) for request in requests]
        return self.batch(number)

    def batch(self, number: str) -> dict[str, Any]:
        kept = self.batches[number]
        ended = kept["polls"] <= 0
        outcomes = Counter(r["result"]["type"] for r in kept["results"]) if ended else Counter()
        counts = {kind: outcomes[kind] for kind in ("succeeded", "errored", "canceled", "expired")}
        counts["processing"] = 0 if ended else len(kept["requests"])
        return {
            "id": number,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": kept["made"].isoformat(),
            "expires_at": (kept["made"] + timedelta(days=1)).isoformat(),
            "ended_at": kept["made"].isoformat() if ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"{self.url}/v1/messages/batches/{number}/results" if ended else None,
        }

    def results(self, number: str) -> bytes:
        """In another order than the requests."""
        lines = [json.dumps(result) for result in reversed(self.batches[number]["results"])]
        return "".join(f"{line}\n" for line in lines).encode()

    def result(self, request: dict[str, Any]) -> dict[str, Any]:
        outcome: dict[str, Any] = {"type": self.reply(request["params"]).batch}
        if outcome["type"] == "succeeded":
            outcome["message"] = self.message(request["params"])
        elif outcome["type"] == "errored":
            error = {"type": "invalid_request_error", "message": "schema: unknown keyword"}
            outcome["error"] = {"type": "error", "error": error}
        return {"custom_id": request["custom_id"], "result": outcome}


def capabilities(
    *,
    schema: bool = True,
    thinking: tuple[str, ...] = ("adaptive", "disabled"),
    efforts: tuple[str, ...] = EFFORTS,
    batch: bool = True,
) -> dict[str, Any]:
    """Of a model, as the API tells them."""

    def says(yes: bool) -> dict[str, bool]:
        return {"supported": yes}

    types = {t: says(t in thinking) for t in ("adaptive", "between_tools", "disabled", "enabled")}
    levels = {level: says(level in efforts) for level in ("low", "medium", "high", "xhigh", "max")}
    return {
        "batch": says(batch),
        "citations": says(True),
        "code_execution": says(True),
        "context_management": says(False),
        "effort": {"supported": bool(efforts), **levels},
        "image_input": says(True),
        "pdf_input": says(True),
        "server_tools": says(False),
        "structured_outputs": says(schema),
        "thinking": {"supported": True, "types": types},
    }


def _handler(llm: FakeLLM) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: otherwise each answer waits for an acknowledgement

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("/v1/models"):
                return self.serve("models", lambda: self.models(path))
            number = path.removeprefix("/v1/messages/batches").strip("/")
            if not number:
                newest_first = [llm.batch(n) for n in reversed(llm.batches)]
                page = {"data": newest_first, "has_more": False, "first_id": None, "last_id": None}
                return self.serve("list", lambda: page)
            if number.endswith("/results"):
                return self.serve("results", lambda: llm.results(number.removesuffix("/results")))
            return self.serve("retrieve", lambda: self.polled(number))

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = json.loads(self.rfile.read(length))
            llm.headers.append(dict(self.headers))
            if self.path == "/v1/messages":
                return self.serve("messages", lambda: llm.message(body))
            if self.path == "/v1/messages/batches":
                return self.serve("create", lambda: llm.make_batch(body["requests"]))
            complaint = llm.refuses(body)
            if complaint:
                return self.send(400, {"error": {"message": complaint, "type": "invalid_request_error"}}, {})
            return self.serve("chat", lambda: llm.completion(body))

        def models(self, path: str) -> dict[str, Any]:
            number = path.removeprefix("/v1/models").strip("/")
            model = {
                "id": number or "claude-tiny",
                "type": "model",
                "display_name": "Tiny",
                "created_at": "2026-01-01T00:00:00Z",
                "lifecycle": "active",
                "max_tokens": 64_000,
                "capabilities": llm.capabilities,
            }
            return model if number else {"data": [model], "has_more": False}

        def polled(self, number: str) -> dict[str, Any] | None:
            if number not in llm.batches:
                return None
            answer = llm.batch(number)
            llm.batches[number]["polls"] -= 1
            return answer

        def serve(self, call: str, work: Callable[[], Any]) -> None:
            fault = llm.next_fault(call)
            kind = fault[0] if isinstance(fault, tuple) else fault
            if isinstance(kind, int):
                error = {"type": "api_error", "message": f"fault {kind}"}
                return self.send(kind, {"type": "error", "error": error}, fault[1])
            if kind in ("drop_before", "kill_before"):
                return self.drop(fault)
            with llm.lock:
                llm.under_way += 1
                llm.most_under_way = max(llm.most_under_way, llm.under_way)
            try:
                answer = work()
            finally:
                with llm.lock:
                    llm.under_way -= 1
            if kind in ("drop_after", "kill_after"):
                return self.drop(fault)
            if answer is None:
                return self.send(
                    404, {"type": "error", "error": {"type": "not_found_error", "message": ""}}, {}
                )
            return self.send(200, answer, {}, cut=kind == "cut")

        def drop(self, fault: Any) -> None:
            if isinstance(fault, tuple):
                os.kill(fault[1](), signal.SIGKILL)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def send(self, status: int, body: Any, headers: dict[str, str], *, cut: bool = False) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            kind = "application/x-jsonl" if isinstance(body, bytes) else "application/json"
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) * 2 // 3] if cut else content)
            if cut:
                self.wfile.flush()
                self.close_connection = True

    return Handler

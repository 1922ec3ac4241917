"""An OpenAI-compatible server on this machine, with a small model behind it, that can be told to misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from emoprune.problems.prompts.scorers.causal import CausalScorer


@dataclass
class Served:
    """What the server is told, and what it saw."""

    scorer: CausalScorer | None = None
    listed: bool = False  # whether log-probabilities come as a list of tokens
    trouble: Callable[[int], str | None] = lambda number: None  # the number of the call -> what goes wrong
    calls: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)
    pause: float = 0.0
    counted: bool = True  # whether answers say how many tokens they took
    said: Callable[[list[dict[str, str]]], str] = lambda messages: "**Red**."  # what is written in a chat
    paths: list[str] = field(default_factory=list)
    retry_after: str = "0"
    url: str = ""

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return an answer, with how many words the question and the answer have, one for each answer."""
        words = sum(len(str(each["content"]).split()) for each in body.get("messages", ()))
        usage = {"prompt_tokens": words or len(str(body.get("prompt")).split()), "completion_tokens": 1}
        own = self._chat(body["messages"]) if "messages" in body else self._completion(body)
        return {**own, "usage": usage} if self.counted else own

    def _chat(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        """Return what a model without log-probabilities writes."""
        return {"choices": [{"message": {"role": "assistant", "content": self.said(messages)}}]}

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a completion with log-probabilities: by token as vLLM gives them, or listed as llama.cpp does."""
        if self.scorer is None:
            top = {" red": -1.0, " blue": -2.0 + len(body["prompt"]) % 3}
            return {"choices": [{"text": " red", "logprobs": {"top_logprobs": [top]}}]}
        local = self.scorer.local
        if body.get("echo"):
            return self._echo(body["prompt"])
        logits = self.scorer.plain([body["prompt"]])[0]
        values = logits - np.logaddexp.reduce(logits)
        best = np.argsort(-values)[: body.get("logprobs", 1)]
        top = {f" {local.tokenizer.decode([token])}": float(values[token]) for token in best}
        likeliest = max(top, key=lambda word: top[word])
        told = _listed(likeliest, top) if self.listed else {"top_logprobs": [top]}
        return {"choices": [{"text": likeliest, "logprobs": told}]}

    def _echo(self, prompt: str) -> dict[str, Any]:
        assert self.scorer is not None
        scores = self.scorer.token_scores(prompt)
        starts = [*scores.spans[:, 0].tolist(), len(prompt)]
        words = [prompt[start:end] for start, end in scores.spans.tolist()]
        surprise = [None, *(-value for value in scores.surprisal[1:].tolist()), -0.5]
        told = {"tokens": [*words, " x"], "token_logprobs": surprise, "text_offset": starts}
        return {"choices": [{"text": prompt, "logprobs": told}]}


def _listed(said: str, top: dict[str, float]) -> dict[str, Any]:
    tokens = [{"id": number, "token": token, "logprob": value} for number, (token, value) in enumerate(top.items())]
    return {"content": [{"token": said, "logprob": top[said], "top_logprobs": tokens}]}


class Answering(BaseHTTPRequestHandler):
    """One call."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer's body waits 40 ms for the other side to confirm its head
    served: Served

    def do_POST(self) -> None:
        served = self.served
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with served.lock:
            served.calls.append(body)
            served.paths.append(self.path)
            served.headers.append(dict(self.headers))
            number = len(served.calls)
            served.at_once += 1
            served.most_at_once = max(served.most_at_once, served.at_once)
        try:
            time.sleep(served.pause)
            self._reply(served.trouble(number), body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # whoever asked has gone
        finally:
            with served.lock:
                served.at_once -= 1

    def _reply(self, trouble: str | None, body: dict[str, Any]) -> None:
        served = self.served
        if trouble == "hang":
            served.over.wait(30)
        elif trouble in {"trickle", "stall", "cut"}:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self._break_off(trouble)
        elif trouble == "trickled headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            self._break_off("trickle")
        elif trouble == "lost":
            self.close_connection = True
        elif trouble is not None and trouble.isdigit():
            self._write(int(trouble), b'{"error": "go away"}', {"Retry-After": served.retry_after, "Location": "/"})
        elif trouble is not None:
            self._write(200, trouble.encode(), {})
        else:
            self._write(200, json.dumps(served.answer(body)).encode(), {})

    def _break_off(self, trouble: str) -> None:
        """Say no more, or a little and again a little, or close in the middle of what was begun."""
        self.wfile.flush()
        if trouble == "stall":
            self.served.over.wait(30)
        while trouble == "trickle" and not self.served.over.wait(0.05):
            self.wfile.write(b" ")
            self.wfile.flush()
        self.close_connection = True

    def _write(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        pass


@contextmanager
def serving(scorer: CausalScorer | None = None, **told: Any) -> Iterator[Served]:
    """Run a server within the block."""
    served = Served(scorer, **told)
    handler = type("Handler", (Answering,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield served
    finally:
        served.over.set()
        server.shutdown()
        server.server_close()
        thread.join(10)

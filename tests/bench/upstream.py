"""A model provider that costs almost nothing: OpenAI's protocol, fixed texts, the clock stamped into every chunk.

python -m tests.bench.upstream FD INTERVAL_S, where FD is a listening socket. A stream has a chunk for each CHUNK_TOKENS
that the request allows. GET answers how many connections are open.
"""

import asyncio
import re
import socket
import sys
import time
from typing import Any

import uvloop

# About what a chunk's text weighs: a provider whose reports fit no text is told of in the log, call by call.
CHUNK_TOKENS = 6

_TOKENS = re.compile(rb'"max_tokens": ?(\d+)')
_STREAMED = re.compile(rb'"stream": ?true')
_SAID = (
    b'{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"gpt-3.5-turbo","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"%b"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":120,"completion_tokens":96,"total_tokens":216}}'
) % (b"The quick brown fox jumps over the lazy dog while the relay forwards tokens. " * 6)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_SAID), _SAID)
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNK = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"gpt-3.5-turbo",'
    b'"choices":[{"index":0,"delta":{"content":"t=%d word "},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
)


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_HEAD = b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"gpt-3.5-turbo",'
_FINISH = _HEAD + b'"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}\n\n'
_USAGE = b'"choices":[],"usage":{"prompt_tokens":120,"completion_tokens":%d,"total_tokens":%d}}\n\n'


class Upstream(asyncio.Protocol):
    """One connection."""

    open = 0
    interval_s = 0.04

    def connection_made(self, transport: Any) -> None:
        Upstream.open += 1
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._read = b""

    def connection_lost(self, _error: Exception | None) -> None:
        Upstream.open -= 1

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):
            said = b"%d" % Upstream.open
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))
        elif len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        elif _STREAMED.search(body):
            self._begin(body)
        else:
            self._transport.write(_ANSWER)
        self._read = b""

    def _begin(self, body: bytes) -> None:
        asked = _TOKENS.search(body)
        self._chunks = self._left = int(asked[1]) // CHUNK_TOKENS if asked else 50
        self._transport.write(_EVENTS)
        self._due = self._loop.time() + self.interval_s
        self._loop.call_at(self._due, self._go_on)

    def _go_on(self) -> None:
        if self._transport.is_closing():
            return
        self._left -= 1
        chunk = _piece(_CHUNK % time.monotonic_ns())
        if self._left:
            self._transport.write(chunk)
            self._due += self.interval_s
            self._loop.call_at(self._due, self._go_on)
            return
        tokens = self._chunks * CHUNK_TOKENS
        usage = _HEAD + _USAGE % (tokens, 120 + tokens)
        ends = [chunk, _piece(_FINISH), _piece(usage), _piece(b"data: [DONE]\n\n"), b"0\r\n\r\n"]
        self._transport.write(b"".join(ends))


async def main(listener: socket.socket, interval_s: float) -> None:
    Upstream.interval_s = interval_s
    server = await asyncio.get_running_loop().create_server(Upstream, sock=listener, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(socket.socket(fileno=int(sys.argv[1])), float(sys.argv[2])))

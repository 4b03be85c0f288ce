"""A WeChat Pay that costs almost nothing: it signs and answers unifiedorder, checks nothing, remembers nothing.

python -m tests.bench.provider APP_ID MCH_ID KEY FD, where FD is a listening socket.
"""

import asyncio
import hashlib
import hmac
import re
import socket
import sys

_NUMBER = re.compile(rb"<out_trade_no><!\[CDATA\[(\w+)\]\]>")


class Provider:
    def __init__(self, app_id: str, mch_id: str, key: str) -> None:
        self._ours = {"appid": app_id, "mch_id": mch_id}
        self._key = key

    async def serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._talk, sock=listener)
        await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                answer = self._answer(await reader.readexactly(length))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, body: bytes) -> bytes:
        found = _NUMBER.search(body)
        number = found[1].decode() if found else ""
        fields = self._ours | {
            "return_code": "SUCCESS",
            "result_code": "SUCCESS",
            "nonce_str": number,
            "prepay_id": f"wx{number}",
            "trade_type": "NATIVE",
            "code_url": f"weixin://wxpay/bizpayurl?pr={number[-12:]}",
        }
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields)) + f"&key={self._key}"
        fields["sign"] = hmac.new(self._key.encode(), text.encode(), hashlib.sha256).hexdigest().upper()
        return f"<xml>{''.join(f'<{name}>{value}</{name}>' for name, value in fields.items())}</xml>".encode()


if __name__ == "__main__":
    asyncio.run(Provider(*sys.argv[1:4]).serve(socket.socket(fileno=int(sys.argv[4]))))

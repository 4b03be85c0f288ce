"""A WeChat Pay that costs almost nothing: it signs, answers at once or after a while, checks nothing, and remembers
only how often it was asked about which order (GET / tells).

python -m tests.bench.provider APP_ID MCH_ID KEY FD [DELAY_S], where FD is a listening socket. What became of an order
is in the last letter of its number: p it was paid (¥73), a it is absent; every other waits.
"""

import asyncio
import hashlib
import hmac
import json
import re
import socket
import sys
from collections import Counter

_NUMBER = re.compile(rb"<out_trade_no><!\[CDATA\[(\w+)\]\]>")


_STATES = {
    "p": {"trade_state": "SUCCESS", "total_fee": "7300", "cash_fee": "7300", "fee_type": "CNY"},
    "a": {"result_code": "FAIL", "err_code": "ORDERNOTEXIST"},
}


class Provider:
    def __init__(self, app_id: str, mch_id: str, key: str, delay_s: float = 0) -> None:
        self._ours = {"appid": app_id, "mch_id": mch_id}
        self._key = key
        self._delay_s = delay_s
        self._queries: Counter[str] = Counter()

    async def serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._talk, sock=listener)
        await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
                answer = self._answer(head.split(b" ", 2)[1], await reader.readexactly(length))
                if self._delay_s and length:
                    await asyncio.sleep(self._delay_s)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, path: bytes, body: bytes) -> bytes:
        if path == b"/":
            return json.dumps({"queries": self._queries.total(), "orders": len(self._queries)}).encode()
        found = _NUMBER.search(body)
        number = found[1].decode() if found else ""
        told = {"return_code": "SUCCESS", "result_code": "SUCCESS", "nonce_str": "n", **self._ours}
        if path == b"/pay/unifiedorder":
            told |= {"prepay_id": f"wx{number}", "trade_type": "NATIVE"}
            told["code_url"] = f"weixin://wxpay/bizpayurl?pr={number[-12:]}"
        elif path == b"/pay/orderquery":
            self._queries[number] += 1
            told |= {"out_trade_no": number, "trade_state": "NOTPAY", "trade_type": "NATIVE"}
            told |= {"transaction_id": f"42{number[-24:]}", "time_end": "20261121120000"}
            told |= _STATES.get(number[-1:], {})
        return self._signed(told)

    def _signed(self, fields: dict[str, str]) -> bytes:
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields)) + f"&key={self._key}"
        fields["sign"] = hmac.new(self._key.encode(), text.encode(), hashlib.sha256).hexdigest().upper()
        return f"<xml>{''.join(f'<{name}>{value}</{name}>' for name, value in fields.items())}</xml>".encode()


if __name__ == "__main__":
    app_id, mch_id, key, descriptor, *delay_s = sys.argv[1:]
    asyncio.run(Provider(app_id, mch_id, key, *map(float, delay_s)).serve(socket.socket(fileno=int(descriptor))))

"""D11: the process is killed between the hold and the settlement."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from llm.models import Model, Usage
from llm.seeds import plant
from tests.far_side import FarSide, Seen, http
from tests.processes import Server
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.wallet import audit, services
from voicehelper.wallet.models import Entry, Hold

from .conftest import ASK
from .upstream import completion, tokens

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asked() -> threading.Event:
    return threading.Event()


@pytest.fixture
def provider(asked: threading.Event) -> Iterator[FarSide]:
    """Takes its time over the first request, and answers the others."""
    import json

    def answer(seen: Seen) -> bytes:
        if not asked.is_set():
            asked.set()
            time.sleep(3)
        body = completion("x", "hello", tokens((10, 20)))
        return http(json.dumps(body).encode(), headers="Content-Type: application/json\r\nConnection: close\r\n")

    with FarSide(answer) as far_side:
        yield far_side


def test_D11_a_killed_call_gives_its_hold_back(
    transactional_db: None, provider: FarSide, asked: threading.Event
) -> None:
    """The hold stays until its time is over, then it is released; nothing was charged, and calls work again."""
    plant(Model)
    user = User.objects.create_user("speaker")
    services.credit(user, 1_000_000, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    headers = {"Authorization": f"Bearer {create_api_key(user, 'test')[1]}"}

    with Server(ARK_API_KEY="ark-key", ARK_BASE_URL=f"{provider.url}/v1") as server:
        ask: Callable[[], object] = lambda: server.post_json("/v1/chat/completions", ASK, headers=headers)  # noqa: E731
        caller = threading.Thread(target=ask)
        caller.start()
        assert asked.wait(20)
        server.kill()
        caller.join()
        hold = Hold.objects.get()
        assert (hold.state, services.wallet_of(user).held) == ("open", hold.amount)
        assert services.reap_holds() == 0
        Hold.objects.update(expires_at="2020-01-01T00:00Z")
        assert services.reap_holds() == 1
        wallet = services.wallet_of(user)
        assert (wallet.balance, wallet.held) == (1_000_000, 0)
        server.start()
        reply = server.post_json("/v1/chat/completions", ASK, headers=headers)
        assert reply.status == 200, (reply, server.log)
    assert Usage.objects.get().quota == 1500
    assert services.wallet_of(user).balance == 1_000_000 - 1500
    assert audit.run(full=True).findings == []

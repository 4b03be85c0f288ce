"""Retries, failover, streams that break, clients that leave: who is asked, and what it costs."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from aiohttp import web
from asgiref.sync import sync_to_async
from django.db import connection

from llm.models import Credential, Model, Usage
from llm.relay import engine
from llm.relay.statistics import Statistics
from notifications.models import Alert
from tests.conftest import sampled
from voicehelper.postgres import _address
from voicehelper.wallet import services as wallets
from voicehelper.wallet.models import Entry, Hold
from voicehelper.wallet.statements import RENEW

from .client import Answer
from .conftest import ASK, STREAM, World, account
from .upstream import Asked, chat, completion, fails, never, says, send_chunk, sends, stream, tokens

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = "/v1/chat/completions"
QUOTA_PER_TOKEN = 50
WORDS = [f"word{number}" for number in range(50)]


def ask(world: World, body: dict[str, Any] = ASK, **options: Any) -> Answer:
    answer: Answer = world.play(lambda w: w.client.post(CHAT, body, **options))
    return answer


# --- Tries -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("body", sampled([ASK, STREAM], keep=1), ids=["whole", "streamed"])
@pytest.mark.parametrize("failure", [fails(500), fails(429, retry_after="0"), fails(503), says("no", 502)])
def test_H5_a_retry_is_charged_once(
    world: World, body: dict[str, Any], failure: Any, books_agree: Callable[[], None]
) -> None:
    world.give(1_000_000)
    world.upstream.scripts = [failure, failure]
    assert ask(world, body).status == 200
    assert len(world.upstream.asked) == 3
    assert Entry.objects.filter(kind="spend").count() == 1
    assert (world.usage().quota, world.usage().tries) == (30 * QUOTA_PER_TOKEN, 3)
    assert world.usage().error
    books_agree()


def test_a_model_asked_for_by_name_is_not_replaced(world: World, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    world.upstream.scripts = [fails(500, "boiler broke")] * 3
    answer = ask(world)
    assert answer.status == 502
    assert answer.json["error"]["message"].count("boiler broke") == 1
    assert "3 tries" in answer.json["error"]["message"]
    usage = world.usage()
    assert (usage.outcome, usage.quota, usage.usage_source) == ("failed", 0, "none")
    assert world.wallet.held == 0
    books_agree()


def test_the_operators_fallbacks_are_asked(world: World) -> None:
    world.give(1_000_000)
    Model.objects.get(name="doubao-pro").fallbacks.add(Model.objects.get(name="doubao-lite"))
    world.upstream.scripts = [fails(404, "no such endpoint")]
    assert ask(world).json["model"] == "doubao-lite"


def test_another_account_of_the_same_provider_is_no_replacement(world: World) -> None:
    world.give(1_000_000)
    account(world, "second")
    world.upstream.scripts = [fails(401, "bad key sk-secret-of-ours")]
    assert ask(world).json["model"] == "doubao-pro"
    assert [asked.request.headers["Authorization"] for asked in world.upstream.asked] == [
        "Bearer ark-key",
        "Bearer second-key",
    ]


def test_a_request_at_fault_is_tried_once(world: World) -> None:
    world.give(1_000_000)
    world.upstream.scripts = [fails(400, "messages too strange")]
    answer = ask(world, {**ASK, "fallbacks": ["doubao-lite"]})
    assert (answer.status, answer.json["error"]["message"]) == (400, "messages too strange")
    assert len(world.upstream.asked) == 1


def test_a_provider_that_asks_for_patience_is_given_it(world: World) -> None:
    world.give(1_000_000)
    world.upstream.scripts = [fails(429, retry_after="1")]
    started = time.monotonic()
    assert ask(world).status == 200
    assert time.monotonic() - started >= 1


def test_a_provider_that_asks_for_too_much_patience_is_passed_over(world: World) -> None:
    world.give(1_000_000)
    world.upstream.scripts = [fails(429, retry_after="3600")]
    started = time.monotonic()
    answer = ask(world)
    assert (answer.status, answer.json["error"]["code"]) == (429, "upstream_rate_limited")
    assert int(answer.headers["retry-after"]) > 60
    assert time.monotonic() - started < 10


def test_a_deadline_ends_all_tries(world: World, settings: Any, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    settings.LLM_TOTAL_SECONDS = 0.5
    world.upstream.otherwise = never()
    assert ask(world).status == 504
    assert world.wallet.held == 0
    books_agree()


def test_an_account_that_keeps_failing_is_asked_last_and_reported(world: World) -> None:
    world.give(10_000_000)
    account(world, "second")
    Credential.objects.update(max_retries=1)

    async def scenario(w: World) -> None:
        for _ in range(5):
            w.upstream.scripts = [fails(500)]
            assert (await w.client.post(CHAT, ASK)).status == 200
        w.upstream.asked.clear()
        assert (await w.client.post(CHAT, ASK)).status == 200

    world.play(scenario)
    assert [asked.request.headers["Authorization"] for asked in world.upstream.asked] == ["Bearer second-key"]
    assert Alert.objects.get(event="provider_circuit_open").level == "critical"


@pytest.mark.parametrize("restarted", [False, True], ids=["the same process", "after a restart"])
def test_an_account_that_answers_again_ends_what_was_told_of_it(world: World, restarted: bool) -> None:
    world.give(10_000_000)
    Credential.objects.update(max_retries=1)

    async def scenario(w: World) -> None:
        for _ in range(5):
            w.upstream.scripts = [fails(500)]
            assert (await w.client.post(CHAT, ASK)).status == 502
        if restarted:
            await engine.close_engine()
        else:
            for circuit in engine.engine().statistics._circuits.values():
                circuit.cools_until = 1.0
        assert (await w.client.post(CHAT, ASK)).status == 200

    world.play(scenario)
    assert [each.resolved_by for each in Alert.objects.filter(event="provider_circuit_open")] == ["VoiceHelper"]


LITE = {**ASK, "model": "doubao-lite"}


@pytest.mark.parametrize(
    "failure", sampled([fails(429, retry_after="120"), fails(429), fails(500)], keep=1), ids=["when", "429", "500"]
)
def test_one_models_limit_is_not_the_other_models(world: World, failure: Any) -> None:
    """Each model has limits, and moods, of its own at an account: the others are asked there as ever."""
    world.give(10_000_000)
    account(world, "second")
    Credential.objects.update(max_retries=1)

    async def scenario(w: World) -> None:
        for _ in range(5):
            # The first account fails; the second answers.
            w.upstream.scripts = [failure]
            assert (await w.client.post(CHAT, ASK)).status == 200
            if engine.engine().statistics.cooldown_of(w.credential.pk, "doubao-pro")[0]:
                break
        w.upstream.asked.clear()
        for body in (LITE, ASK):
            assert (await w.client.post(CHAT, body)).status == 200

    world.play(scenario)
    keys = [asked.request.headers["Authorization"] for asked in world.upstream.asked]
    assert keys == ["Bearer ark-key", "Bearer second-key"]


@pytest.mark.parametrize("status", [401, 402, 403])
def test_an_account_that_is_not_accepted_rests_for_all_its_models(world: World, status: int) -> None:
    world.give(10_000_000)
    account(world, "second")

    async def scenario(w: World) -> None:
        w.upstream.scripts = [fails(status)]
        for body in (ASK, LITE):
            assert (await w.client.post(CHAT, body)).status == 200

    world.play(scenario)
    keys = [asked.request.headers["Authorization"] for asked in world.upstream.asked]
    assert keys == ["Bearer ark-key", "Bearer second-key", "Bearer second-key"]


@pytest.mark.parametrize(("status", "code"), [(403, "AccountOverdueError"), (402, None)])
def test_an_account_without_credit_at_its_provider_is_told_of(world: World, status: int, code: str) -> None:
    world.give(10_000_000)
    account(world, "second")
    world.upstream.scripts = [says({"error": {"message": "pay first", "code": code}}, status)]
    assert ask(world).status == 200
    alert = Alert.objects.get(event="provider_low_balance")
    assert (alert.level, world.credential.name in alert.title) == ("warning", True)


def test_a_wrong_key_is_not_called_a_low_balance(world: World) -> None:
    world.give(10_000_000)
    account(world, "second")
    world.upstream.scripts = [fails(401)]
    assert ask(world).status == 200
    assert not Alert.objects.filter(event="provider_low_balance").exists()


def test_rests_are_known_to_other_processes_model_by_model(world: World) -> None:
    async def scenario(w: World) -> list[float]:
        mine, other = Statistics(), Statistics()
        mine.cool_down(w.credential.pk, 60, said_so=True, model="doubao-pro")
        await mine.share()
        await other.share()
        heard = [other.cooldown_of(w.credential.pk, name)[0] for name in ("doubao-pro", "doubao-lite")]
        other.answered(w.credential.pk, "doubao-pro")
        await other.share()
        await mine.share()
        heard.append(mine.cooldown_of(w.credential.pk, "doubao-pro")[0])
        await mine.close()
        await other.close()
        return heard

    pro, lite, healed = world.play(scenario)
    assert 50 < pro <= 60
    assert (lite, healed) == (0, 0)


def test_a_changed_key_counts_at_once(world: World) -> None:
    world.give(1_000_000)

    async def scenario(w: World) -> None:
        assert (await w.client.post(CHAT, ASK)).status == 200

        def change() -> None:
            credential = Credential.objects.get()
            credential.api_key = "new-key"
            credential.save()
            connection.close()

        await sync_to_async(change, thread_sensitive=False)()
        await asyncio.sleep(0.2)
        assert (await w.client.post(CHAT, ASK)).status == 200

    world.play(scenario)
    assert world.upstream.asked[-1].request.headers["Authorization"] == "Bearer new-key"


# --- What is known of usage ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_usage_beyond_the_hold_is_charged_as_far_as_the_wallet_goes(
    world: World, body: dict[str, Any], books_agree: Callable[[], None]
) -> None:
    world.give(7000)
    world.upstream.scripts = [chat((10, 190))]
    assert ask(world, body).status == 200
    usage = world.usage()
    assert (usage.quota, usage.uncollected) == (7000, 200 * QUOTA_PER_TOKEN - 7000)
    assert (world.wallet.balance, world.wallet.held) == (0, 0)
    books_agree()


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_without_usage_the_charge_is_an_estimate_and_says_so(
    world: World, body: dict[str, Any], books_agree: Callable[[], None]
) -> None:
    world.give(1_000_000)
    world.upstream.scripts = [chat(None, " ".join(WORDS))]
    ask(world, body)
    usage = world.usage()
    assert usage.usage_source == "estimate"
    assert 50 <= usage.output_tokens <= 150
    assert 0 < usage.input_tokens < 20
    assert usage.quota == (usage.input_tokens + usage.output_tokens) * QUOTA_PER_TOKEN
    books_agree()


def test_a_report_of_nothing_is_believed(world: World, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    world.upstream.scripts = [chat((0, 0))]
    ask(world)
    assert (world.usage().quota, world.usage().usage_source) == (0, "provider")
    books_agree()


def test_Q_M7_a_price_that_changes_in_the_middle_of_an_answer_is_the_next_ones(
    world: World, books_agree: Callable[[], None]
) -> None:
    """What a call costs is what it cost when it began, also when the process has read the new price by its end."""
    world.give(10_000_000)
    world.upstream.scripts = [stream(WORDS, (10, 50), pause_s=0.02), stream(WORDS, (10, 50))]

    def raise_the_price() -> None:
        # Saved as the admin does; a trigger tells every process.
        model = Model.objects.get(name="doubao-pro")
        model.cost_per_1k *= 10
        model.save()
        connection.close()

    async def scenario(w: World) -> None:
        asking = asyncio.create_task(w.client.post(CHAT, STREAM))
        await asyncio.sleep(0.2)
        await sync_to_async(raise_the_price, thread_sensitive=False)()
        await asyncio.sleep(0.2)
        assert (await w.client.get("/v1/models")).status == 200
        assert not asking.done()
        assert (await asking).status == 200
        assert (await w.client.post(CHAT, STREAM)).status == 200

    world.play(scenario)
    quotas = list(Usage.objects.order_by("pk").values_list("quota", flat=True))
    assert quotas == [60 * QUOTA_PER_TOKEN, 600 * QUOTA_PER_TOKEN]
    books_agree()


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_H1_the_hold_covers_the_dearest_model_that_may_answer(
    world: World, body: dict[str, Any], books_agree: Callable[[], None]
) -> None:
    """A wallet for the cheap one named first is not enough when the dear one may step in."""
    world.give(80 * QUOTA_PER_TOKEN)
    assert ask(world, {**body, "model": "doubao-lite", "fallbacks": ["doubao-pro"]}).status == 402
    assert world.upstream.asked == []
    assert world.wallet.held == 0
    books_agree()


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_a_wallet_for_the_model_that_is_asked_is_enough(world: World, body: dict[str, Any]) -> None:
    world.give(80 * QUOTA_PER_TOKEN)
    assert ask(world, {**body, "model": "doubao-lite"}).status == 200


@pytest.mark.parametrize("reported", [False, True], ids=["a role", "what the prompt costs"])
@pytest.mark.parametrize("ending", ["cut", "closed", "says that it failed"])
def test_Q_M8_what_may_have_begun_is_not_asked_for_again(
    world: World, reported: bool, ending: str, books_agree: Callable[[], None]
) -> None:
    """It broke off before its first word, but not before it had said who it is: somebody was at work. Who says himself
    that he failed, and counted nothing, did nothing."""
    world.give(10_000_000)

    async def breaks(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked.request)
        used = tokens((900, 0)) if reported else None
        await send_chunk(response, asked, {"role": "assistant", "content": ""}, used)
        if ending == "cut":
            asked.request.transport.abort()  # type: ignore[union-attr]
        elif ending == "says that it failed":
            await response.write(b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n')
        return response

    world.upstream.scripts = [breaks, stream(WORDS, None)]
    answer = ask(world, {**STREAM, "fallbacks": ["doubao-lite"]})
    usage = world.usage()
    if ending == "says that it failed" and not reported:
        assert (answer.text.split(), usage.tries) == (WORDS, 2)
    else:
        assert (answer.status, len(world.upstream.asked), usage.quota, usage.outcome) == (502, 1, 0, "failed")
    books_agree()


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", [0, 504, 524])
def test_Q_M8_whoever_stopped_waiting_for_the_model_it_may_be_at_work(
    world: World, body: dict[str, Any], status: int, books_agree: Callable[[], None]
) -> None:
    """A gateway in front of it that gave up, or a connection that ended before a status."""
    world.give(10_000_000)

    async def gives_up(asked: Asked) -> web.StreamResponse:
        if not status:
            asked.request.transport.abort()  # type: ignore[union-attr]
        return web.Response(status=status or 200, text="<html>Gateway time-out</html>")

    world.upstream.scripts = [gives_up]
    answer = ask(world, {**body, "fallbacks": ["doubao-lite"]})
    assert answer.status == (504 if status else 502)
    assert (len(world.upstream.asked), world.usage().quota) == (1, 0)
    books_agree()


def test_a_connection_that_was_closed_for_being_idle_is_replaced(world: World) -> None:
    """It had served before, and was closed as the next request left."""
    world.give(10_000_000)

    async def closes(asked: Asked) -> web.StreamResponse:
        asked.request.transport.abort()  # type: ignore[union-attr]
        return web.Response()

    async def scenario(w: World) -> Answer:
        await w.client.post(CHAT, ASK)
        w.upstream.scripts = [closes]
        return await w.client.post(CHAT, ASK)

    answer = world.play(scenario)
    assert (answer.status, len(world.upstream.asked)) == (200, 3)


# --- Streams that break, clients that leave --------------------------------------------------------------------------
@pytest.mark.parametrize(
    "how", sampled([{"breaks_after": 20}, {"error_after": 20}], keep=1), ids=["cut", "error inside"]
)
@pytest.mark.parametrize("cumulative", [True, False])
def test_a_stream_that_breaks_is_charged_for_what_came(
    world: World, how: dict[str, int], cumulative: bool, books_agree: Callable[[], None]
) -> None:
    world.give(1_000_000)
    world.upstream.scripts = [stream(WORDS, (10, 50), cumulative=cumulative, pause_s=0.001, **how)]
    answer = ask(world, STREAM)
    assert answer.status == 200
    assert len(world.upstream.asked) == 1
    assert "error" in answer.events[-1]
    assert "[DONE]" not in answer.events
    usage = world.usage()
    assert usage.outcome == "failed"
    if cumulative:
        assert (usage.usage_source, usage.quota) == ("cumulative", 30 * QUOTA_PER_TOKEN)
    else:
        assert usage.usage_source == "estimate"
        assert 10 <= usage.output_tokens <= 60
    books_agree()


def test_a_finished_stream_without_done_is_a_success(world: World, books_agree: Callable[[], None]) -> None:
    """Why it stops, and what it used, has been said."""
    world.give(1_000_000)

    async def ends_early(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked.request)
        await send_chunk(response, asked, {"content": "Hello"}, None)
        await send_chunk(response, asked, {}, None, finish="stop")
        await send_chunk(response, asked, None, tokens((10, 20)))
        await response.write_eof()
        return response

    world.upstream.scripts = [ends_early]
    answer = ask(world, STREAM)
    assert (answer.text, answer.events[-1]) == ("Hello", "[DONE]")
    usage = world.usage()
    assert (usage.outcome, usage.error, usage.usage_source, usage.quota) == ("ok", "", "provider", 1500)
    books_agree()


def test_O2_a_prompt_that_is_reported_as_nothing_in_the_end_is_charged(
    world: World, books_agree: Callable[[], None]
) -> None:
    world.give(1_000_000)

    async def falls(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked.request)
        await send_chunk(response, asked, {"content": "Hello"}, tokens((10, 1)))
        await send_chunk(response, asked, {}, None, finish="stop")
        await send_chunk(response, asked, None, tokens((0, 20)))
        await response.write(b"data: [DONE]\n\n")
        return response

    world.upstream.scripts = [falls]
    assert ask(world, STREAM).status == 200
    assert (world.usage().quota, world.usage().input_tokens) == (30 * QUOTA_PER_TOKEN, 10)
    books_agree()


def test_Q_a_whole_answer_that_is_cut_on_its_way_is_not_asked_for_again(
    world: World, books_agree: Callable[[], None]
) -> None:
    world.give(1_000_000)

    async def cut(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
        await response.prepare(asked.request)
        await response.write(b'{"id":"x","choices":[')
        asked.request.transport.abort()  # type: ignore[union-attr]
        return response

    world.upstream.scripts = [cut]
    assert ask(world, {**ASK, "fallbacks": ["doubao-lite"]}).status == 502
    assert (len(world.upstream.asked), world.usage().quota) == (1, 0)
    books_agree()


def test_a_provider_that_never_streams_is_understood(world: World, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = completion("x", "Hello", tokens((10, 20)))
    body["choices"][0]["message"]["tool_calls"] = [call]
    world.upstream.scripts = [says(body)]
    answer = ask(world, STREAM)
    assert (answer.text, answer.events[-1]) == ("Hello", "[DONE]")
    told = answer.events[0]
    assert (told["object"], told["model"]) == ("chat.completion.chunk", "doubao-pro")
    assert told["choices"][0]["delta"]["tool_calls"] == [{**call, "index": 0}]
    assert (len(world.upstream.asked), world.usage().quota, world.usage().usage_source) == (1, 1500, "provider")
    books_agree()


@pytest.mark.parametrize("body", sampled([{"choices": []}, {"hello": 1}, {"choices": [{"message": None}]}], keep=1))
def test_json_that_is_no_answer_ends_no_stream_well(world: World, body: Any, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    world.upstream.otherwise = says(body)
    assert ask(world, STREAM).status == 502
    assert world.usage().quota == 0
    books_agree()


def test_a_200_that_holds_nothing_is_tried_again(world: World) -> None:
    world.give(1_000_000)
    page = sends(b"<html>Maintenance</html>", kind="text/html")
    world.upstream.scripts = [page, sends(b"data: [DONE]\n\n"), stream(WORDS)]
    answer = ask(world, STREAM)
    assert answer.text.split() == WORDS
    assert world.usage().tries == 3


@pytest.mark.parametrize("cumulative", [True, False])
def test_H3_the_wait_for_a_report_has_an_end(
    world: World, settings: Any, cumulative: bool, books_agree: Callable[[], None]
) -> None:
    """Then the last report counts, or an estimate of what came; and the upstream is told to stop."""
    world.give(1_000_000)
    settings.LLM_DRAIN_SECONDS = 0.3
    world.upstream.scripts = [stream(WORDS * 20, (10, 1000), pause_s=0.02, cumulative=cumulative)]
    ask(world, {**STREAM, "max_tokens": 1000}, leave_after=5)
    usage = world.usage()
    assert usage.outcome == "abandoned"
    assert usage.usage_source == ("cumulative" if cumulative else "estimate")
    assert 5 * QUOTA_PER_TOKEN < usage.quota < 200 * QUOTA_PER_TOKEN
    assert world.upstream.asked[0].hung_up
    books_agree()


def test_H3_who_hangs_up_on_a_silent_model_pays_for_the_prompt(
    world: World, settings: Any, books_agree: Callable[[], None]
) -> None:
    world.give(1_000_000)
    settings.LLM_DRAIN_SECONDS = 0.3
    world.upstream.scripts = [never()]
    ask(world, STREAM, leave_after_s=0.1, leave_when=lambda: bool(world.upstream.asked))
    usage = world.usage()
    assert (usage.outcome, usage.usage_source, usage.output_tokens) == ("abandoned", "estimate", 0)
    assert 0 < usage.quota < 20 * QUOTA_PER_TOKEN
    books_agree()


def test_H3_a_whole_answer_is_charged_whether_or_not_it_is_awaited(
    world: World, books_agree: Callable[[], None]
) -> None:
    world.give(1_000_000)
    world.upstream.scripts = [chat(after_s=0.3)]
    ask(world, ASK, leave_after_s=0.1, leave_when=lambda: bool(world.upstream.asked))
    assert world.usage().quota == 30 * QUOTA_PER_TOKEN
    books_agree()


# --- Many at once, and long ones -------------------------------------------------------------------------------------
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_H1_two_hundred_calls_on_a_balance_for_ten(
    world: World, body: dict[str, Any], books_agree: Callable[[], None]
) -> None:
    """Each may cost up to 100 tokens and its prompt, and costs just that much: ten are admitted."""
    hold = (100 + 11) * QUOTA_PER_TOKEN
    world.give(hold * 10)
    world.upstream.otherwise = chat((11, 100), after_s=0.5)

    async def scenario(w: World) -> list[int]:
        answers = await asyncio.gather(*(w.client.post(CHAT, body) for _ in range(200)))
        return sorted(answer.status for answer in answers)

    statuses = world.play(scenario)
    assert statuses.count(200) == 10
    assert statuses.count(402) == 190
    assert (world.wallet.balance, world.wallet.held) == (0, 0)
    assert Usage.objects.count() == 10
    books_agree()


def test_H6_a_hold_that_is_renewed_as_the_reaper_comes_is_kept(world: World, books_agree: Callable[[], None]) -> None:
    """The reaper's look shows it expired; the renewal is under way and ends first. And one that began to be renewed
    before the reaper looked is not waited for."""
    world.give(1_000_000)
    wallets.hold(world.user, 5000, ref="req_lasting", life=timedelta(minutes=15))
    Hold.objects.update(expires_at="2020-01-01T00:00Z")
    renewal = RENEW.sql.replace("$1", """'{"life_s": 900, "refs": ["req_lasting"]}'""")
    with psycopg.connect(**_address()) as elsewhere:
        elsewhere.execute(renewal.encode())
        assert wallets.reap_holds() == 0
    assert wallets.reap_holds() == 0
    assert (world.wallet.held, Hold.objects.get().state) == (5000, "open")
    books_agree()


def test_H6_a_call_that_lasts_keeps_its_hold(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.give(1_000_000)
    monkeypatch.setattr(engine, "_RENEW_AFTER_S", 0.1)
    monkeypatch.setattr(engine, "_SHARE_EVERY_S", 0.1)
    monkeypatch.setattr(engine, "_SLOW_EVERY_S", 0.1)
    world.upstream.scripts = [stream(WORDS, (10, 50), pause_s=0.03)]

    def age() -> None:
        Hold.objects.filter(state="open").update(expires_at="2020-01-01T00:00Z")
        connection.close()

    def reap() -> int:
        reaped = wallets.reap_holds()
        connection.close()
        return reaped

    async def scenario(w: World) -> int:
        asking = asyncio.create_task(w.client.post(CHAT, STREAM))
        await asyncio.sleep(0.2)
        await sync_to_async(age, thread_sensitive=False)()
        await asyncio.sleep(0.7)
        reaped = await sync_to_async(reap, thread_sensitive=False)()
        await asking
        return reaped

    assert world.play(scenario) == 0
    assert world.usage().quota == 60 * QUOTA_PER_TOKEN

"""What a model is sent: what the conversation is set to, the branch that the question ends as far as it fits, and the
question. Answers without words are left out."""

from typing import Any

from django.conf import settings

from ..models import ChatMessage, ChatSession
from ..relay.estimates import weigh_prompt
from . import attachments
from .branches import Tree, answers_of
from .choices import choice_of

# So many answers are looked at for the history, however short they are.
_MOST_HISTORY = 100


def body_of(session: ChatSession, question: ChatMessage) -> dict[str, Any]:
    """The request in OpenAI's shape, but for its model."""
    system = [{"role": "system", "content": session.system_prompt}] if session.system_prompt else []
    asked = {"role": "user", "content": attachments.said(session.user, question)}
    body: dict[str, Any] = {"messages": [*system, *_history(session, question), asked]}
    if session.temperature is not None:
        body["temperature"] = float(session.temperature)
    return body


def _history(session: ChatSession, question: ChatMessage) -> list[dict[str, Any]]:
    """The last questions and answers of the branch before this one that fit into the budget, oldest first. The answer
    that is to go on is there in any case."""
    line = Tree(session).line(question.pk)[:-1][-_MOST_HISTORY:]
    answers, asked = answers_of(line), ChatMessage.objects.in_bulk(line)
    history: list[dict[str, Any]] = []
    weight = 0.0
    seen = any(each.attachments for each in asked.values()) and attachments.sees(choice_of(session.model_name).models)
    for pk in reversed(line):
        answer = answers.get(pk)
        if answer is None or not answer.content:
            continue
        pair: list[dict[str, Any]] = [
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": attachments.said(session.user, asked[pk], seen=seen)},
        ]
        weight += weigh_prompt({"messages": pair})
        if weight > settings.LLM_HISTORY_TOKENS and (history or not question.continues):
            break
        history += pair
    return history[::-1]

"""What users and models said to each other."""

from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from voicehelper import clock

from .lexemes import LexemesField

# Who writes an answer says so at least every five seconds; one that was not heard of for so long is dead.
ALIVE = timedelta(seconds=15)


class ChatSession(models.Model):
    """A conversation of a user. `public_id` is the sessionId clients see; `pinned` is when it was pinned; the system
    prompt and the temperature go along with every question."""

    public_id = models.CharField(max_length=64)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="chat_sessions", verbose_name=_("user")
    )
    title = models.CharField(_("title"), max_length=80, blank=True)
    model_name = models.CharField(_("model"), max_length=64, blank=True)
    created = models.DateTimeField(_("created"), db_default=Now())
    last = models.DateTimeField(_("last message"), db_default=Now())
    pinned = models.DateTimeField(null=True, editable=False)
    system_prompt = models.TextField(blank=True, default="", db_default="", editable=False)
    temperature = models.DecimalField(max_digits=3, decimal_places=2, null=True, editable=False)

    class Meta:
        verbose_name = _("chat session")
        verbose_name_plural = _("chat sessions")
        constraints = [models.UniqueConstraint(fields=["user", "public_id"], name="chat_session_of_user")]
        indexes = [
            models.Index(fields=["user", "-last"], name="chat_session_newest"),
            models.Index(fields=["-last"], name="chat_session_of_all_newest"),
            models.Index(fields=["user", "-pinned"], name="chat_session_pinned", condition=~Q(pinned=None)),
        ]

    def __str__(self) -> str:
        # Not the title: it is made of what the user wrote, and this is what operators see.
        return self.public_id

    @property
    def shown(self) -> str:
        """What its owner knows it by."""
        return self.title or self.public_id


class ChatMessage(models.Model):
    """A question, or the answer to one. `complete` is False for an answer that is being written or ended early, `ended`
    how it did; `alive` is when its writer was last heard of. `quota` is None until it is settled. `key` is what the
    client's Idempotency-Key became.

    Questions form a tree: `parent` is the one a question follows, None where a conversation begins. Where it is not
    `placed` (the release before wrote it), it follows the one before it. `continues`: it asks to go on with an answer
    that broke off. `searchable`: its words are kept."""

    class Ended(models.TextChoices):
        NOT_EARLY = "", "-"
        STOPPED = "stopped", _("Stopped")
        BROKEN = "broken", _("Broken off")
        FAILED = "failed", _("Failed")

    class Role(models.TextChoices):
        USER = "user", _("User")
        ASSISTANT = "assistant", _("Assistant")

    public_id = models.CharField(max_length=40, unique=True)
    session = models.ForeignKey(ChatSession, models.CASCADE, related_name="messages", verbose_name=_("session"))
    role = models.CharField(_("role"), max_length=12, choices=Role)
    question = models.OneToOneField(
        "self", models.CASCADE, null=True, editable=False, related_name="answer", verbose_name=_("question")
    )
    # Nothing looks for the children of one, so there is no index; what it names may be gone, and is None then.
    parent = models.ForeignKey(
        "self", models.DO_NOTHING, null=True, editable=False, related_name="+", db_constraint=False, db_index=False
    )
    placed = models.BooleanField(default=False, db_default=False, editable=False)
    continues = models.BooleanField(default=False, db_default=False, editable=False)
    searchable = models.BooleanField(default=False, db_default=False, editable=False)
    key = models.CharField(max_length=64, null=True, unique=True, editable=False)
    content = models.TextField(_("content"))
    # Of a question: what chat/attachments.py keeps of each file.
    attachments = models.JSONField(default=list, db_default=[], editable=False)
    complete = models.BooleanField(_("complete"), default=True)
    ended = models.CharField(max_length=8, choices=Ended, default=Ended.NOT_EARLY, db_default="", blank=True)
    alive = models.DateTimeField(db_default=Now(), editable=False)
    request_id = models.CharField(max_length=40, blank=True)
    model_name = models.CharField(_("model"), max_length=64, blank=True)
    quota = models.BigIntegerField(_("quota"), null=True, default=0)
    created = models.DateTimeField(_("time"), db_default=Now())

    class Meta:
        verbose_name = _("chat message")
        verbose_name_plural = _("chat messages")
        ordering = ["id"]
        indexes = [
            models.Index(fields=["alive"], name="chat_answer_unsettled", condition=Q(quota=None, complete=False)),
            models.Index(fields=["id"], name="chat_message_unsearched", condition=Q(searchable=False)),
            models.Index(fields=["session"], name="chat_question_unplaced", condition=Q(placed=False, question=None)),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def state(self) -> str:
        """complete, writing, stopped, broken or failed: no model answered."""
        if self.complete:
            return "complete"
        if self.ended:
            return str(self.ended)
        return "writing" if self.alive > clock.now() - ALIVE else str(self.Ended.BROKEN)


class SearchWords(models.Model):
    """What a message is found by: its words, Chinese in pairs of characters, and whose it is (chat/words.py)."""

    # The database deletes it with its message, whoever deletes that.
    message = models.OneToOneField(
        ChatMessage, models.CASCADE, primary_key=True, related_name="words", db_constraint=False
    )
    words = LexemesField()

    class Meta:
        verbose_name = _("words of a message")
        verbose_name_plural = _("words of messages")
        indexes = [GinIndex(fields=["words"], fastupdate=False, name="chat_words")]

    def __str__(self) -> str:
        return str(self.pk)


class Spoken(models.Model):
    """An answer, or a text, as sound: paid once and kept as a file of the user's. `path` is empty while it is made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user"))
    message = models.ForeignKey(
        ChatMessage, models.CASCADE, null=True, related_name="spoken", verbose_name=_("chat message")
    )
    # Of the text, the voice and the message.
    digest = models.CharField(max_length=64)
    path = models.CharField(_("path"), max_length=128, blank=True)
    model_name = models.CharField(_("model"), max_length=64, blank=True)
    quota = models.BigIntegerField(_("quota"), default=0)
    created = models.DateTimeField(_("time"), db_default=Now())

    class Meta:
        verbose_name = _("spoken text")
        verbose_name_plural = _("spoken texts")
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="spoken_once")]

    def __str__(self) -> str:
        return self.digest

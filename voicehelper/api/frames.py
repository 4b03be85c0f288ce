"""What is around that which routes tell, for the schema."""

from typing import Any

from rest_framework import serializers


class Done(serializers.Serializer[Any]):
    success = serializers.BooleanField()


class Refusal(Done):
    message = serializers.CharField()


class CodedRefusal(Refusal):
    code = serializers.CharField()


class One(Done):
    data = serializers.DictField()  # type: ignore[assignment]  # the dialect names it so


class ListShape(Done):
    data = serializers.ListField(child=serializers.DictField())  # type: ignore[assignment]


class PageOfRows(serializers.Serializer[Any]):
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    total = serializers.IntegerField()
    items = serializers.ListField(child=serializers.DictField())


class Page(Done):
    data = PageOfRows()  # type: ignore[assignment]


def or_refused(answer: Any, media_type: str = "application/json") -> dict[Any, Any]:
    """For the schema: what a route with codes answers."""
    return {(200, media_type): answer, "default": CodedRefusal}

"""A form's field for several words: names, addresses."""

import re
from collections.abc import Callable
from typing import Any

from django import forms
from django.utils.translation import gettext as _

_BETWEEN = re.compile(r"[\s,;，；、]+")


class WordsField(forms.CharField):
    """A tuple of words with spaces or commas between them, each as `check` returns it; what it raises ValueError for is
    told by `problem`, with %(word)s."""

    def __init__(self, check: Callable[[str], object], most: int, problem: Any, **more: Any) -> None:
        super().__init__(required=False, max_length=20_000, **more)
        self._check, self._most, self._problem = check, most, problem

    def clean(self, value: Any) -> Any:
        words = [word for word in _BETWEEN.split(super().clean(value)) if word]
        if len(words) > self._most:
            raise forms.ValidationError(_("At most %(most)d.") % {"most": self._most})
        return tuple(dict.fromkeys(map(self._checked, words)))

    def _checked(self, word: str) -> str:
        try:
            return str(self._check(word))
        except ValueError:
            raise forms.ValidationError(self._problem % {"word": word[:64]}) from None

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list | tuple) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)

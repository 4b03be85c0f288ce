"""A list of words, found in texts however they are written: in any width or case, with spaces or invisible characters
between."""

import unicodedata
from collections import deque
from collections.abc import Iterable
from functools import lru_cache

# Controls, format characters (zero-width ones among them), and everything that is or marks a space.
_NOTHING = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"))
# Marks that change no word: those that combine, such as variation selectors.
_MARKS = frozenset(("Mn", "Me"))


def normalised(text: str) -> str:
    """NFKC, case folded, without spaces and what nobody sees."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if folded.isascii() and folded.isprintable():
        return "".join(folded.split())
    return "".join(c for c in folded if (kind := unicodedata.category(c)) not in _NOTHING and kind not in _MARKS)


class WordList:
    """Aho and Corasick's automaton: one walk over a text finds any of the words, however many there are."""

    def __init__(self, words: Iterable[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._found: list[str] = [""]
        self._shorter: list[int] = [0]
        self.longest = 0
        for word in words:
            self._add(word)
        self._connect()

    def __bool__(self) -> bool:
        return len(self._next) > 1

    def first(self, text: str) -> str:
        """The word, as the operator wrote it, that stands first in a normalised text; empty: none does."""
        state = 0
        for character in text:
            while state and character not in self._next[state]:
                state = self._shorter[state]
            state = self._next[state].get(character, 0)
            if self._found[state]:
                return self._found[state]
        return ""

    def _add(self, word: str) -> None:
        state, plain = 0, normalised(word)
        for character in plain:
            found = self._next[state].get(character)
            if found is None:
                found = len(self._next)
                self._next[state][character] = found
                self._next.append({})
                self._found.append("")
                self._shorter.append(0)
            state = found
        if plain:
            self._found[state] = word
            self.longest = max(self.longest, len(plain))

    def _connect(self) -> None:
        """Where to go on after a mismatch: the longest end of what was read that begins a word."""
        queue = deque(self._next[0].values())
        while queue:
            state = queue.popleft()
            for character, following in self._next[state].items():
                queue.append(following)
                back = self._shorter[state]
                while back and character not in self._next[back]:
                    back = self._shorter[back]
                self._shorter[following] = self._next[back].get(character, 0)
                self._found[following] = self._found[following] or self._found[self._shorter[following]]


@lru_cache(4)
def word_list(words: tuple[str, ...]) -> WordList:
    """Made once for each list."""
    return WordList(words)

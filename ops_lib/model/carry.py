"""Streams that arrive in pieces: text waits for as long as its end may be the beginning of a secret.

The pieces of one stream are looked at as one text, whatever else arrives between them; the order of all pieces stays as
it was. Nothing waits where no secret is known.
"""

from collections.abc import Iterator

from ops_lib.model.redaction import Redactor

MOST_PIECES = 4096
MOST_CHARACTERS = 1 << 16

Piece = tuple[str, str]


class Carry:
    """What the streams of one cell have put out and is not released yet: pieces of (stream, text)."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._pieces: list[Piece] = []
        self._characters = 0

    def push(self, stream: str, text: str) -> list[Piece]:
        """Take a piece, and answer with what can be stored now, without secrets and in order."""
        self._pieces.append((stream, text))
        self._characters += len(text)
        held = self._held()
        if not held:
            return self.flush()
        full = len(self._pieces) > MOST_PIECES or self._characters > MOST_CHARACTERS + 2 * self._redactor.longest
        return self._release(self._safe(held, past_held=full))

    def flush(self) -> list[Piece]:
        """Everything that waits: what was the beginning of a secret only is none."""
        return self._release(self._pieces)

    def _held(self) -> dict[str, int]:
        """By stream, how many characters at its end may not be released yet."""
        return {name: held for name in dict(self._pieces) if (held := self._waiting(self._text(name)))}

    def _waiting(self, text: str) -> int:
        """The unfinished end of a text, with the secret that reaches into it."""
        unfinished = self._redactor.unfinished(text)
        if not unfinished:
            return 0
        place = len(text) - unfinished
        cut = next((start for start, end in self._redactor.spans(text) if start < place < end), place)
        return len(text) - cut

    def _text(self, stream: str) -> str:
        return "".join(text for name, text in self._pieces if name == stream)

    def _safe(self, held: dict[str, int], *, past_held: bool) -> list[Piece]:
        """The free pieces, less those of a secret whose last letters are behind what another stream holds back."""
        while True:
            pieces = list(self._free(held, past_held=past_held))
            cut = {name: held_from for name in dict(pieces) if (held_from := self._cut_up(name, pieces))}
            if not cut:
                return pieces
            held = {**held, **cut}

    def _cut_up(self, stream: str, pieces: list[Piece]) -> int:
        """How many characters of a stream are to be held, where the pieces would cut a secret of it in two."""
        whole = self._text(stream)
        place = sum(len(text) for name, text in pieces if name == stream)
        return next((len(whole) - start for start, end in self._redactor.spans(whole) if start < place < end), 0)

    def _free(self, held: dict[str, int], *, past_held: bool) -> Iterator[Piece]:
        """The pieces before the first held character; where too much waits, those behind it too, as far as they may."""
        room = {name: len(self._text(name)) - held.get(name, 0) for name in dict(self._pieces)}
        for name, text in self._pieces:
            yield name, text[: max(room[name], 0)]
            room[name] -= len(text)
            if room[name] < 0 and not past_held:
                return

    def _release(self, pieces: list[Piece]) -> list[Piece]:
        """Let go of the beginnings of the first pieces."""
        hidden = self._hidden(pieces)
        rests = [(name, text[len(gone) :]) for (name, text), (_, gone) in zip(self._pieces, pieces, strict=False)]
        self._pieces = [piece for piece in (*rests, *self._pieces[len(pieces) :]) if piece[1]]
        self._characters = sum(len(text) for _, text in self._pieces)
        return [piece for piece in hidden if piece[1]]

    def _hidden(self, pieces: list[Piece]) -> list[Piece]:
        texts: dict[int, str] = {}
        for stream in dict(pieces):
            places = [place for place, (name, _) in enumerate(pieces) if name == stream]
            texts.update(zip(places, self._redactor.pieces([pieces[place][1] for place in places]), strict=True))
        return [(name, texts[place]) for place, (name, _) in enumerate(pieces)]

"""From the words of a whole block to its values at once: what ``decode.Decoder`` gives one by one, but faster.

The words are put in order, packed, and unpacked by one format for the whole block.  A number whose scaling is exact in
a double (``drivers.number.Scale``) is scaled here; all else (flags, decimal digits, "not available", what is no
number) goes through its Decoder.
"""

import struct
from collections.abc import Callable, Sequence
from math import isfinite
from operator import itemgetter, mul, truediv

from drivers.modbus.answer import Answer
from drivers.modbus.blocks import Block, Span
from drivers.modbus.decode import FORMATS, Decoder
from drivers.modbus.registers import Encoding, Register

_BITS = {1: "H", 2: "I", 4: "Q"}  # by words: the unsigned number of that width
_NEVER = (1, 1.0, 0)  # a step of scaling that no number is small enough for

Words = tuple[int, ...]


class BlockDecoder:
    """Reads the answers to one block; made once, called at every poll.

    ``numbers`` are those of the registers that the block feeds; values and words come in this order.
    """

    def __init__(self, block: Block, registers: Sequence[Register], decoders: Sequence[Decoder]) -> None:
        """Prepare the block's formats."""
        entries = [(span, number) for span, fed in block.fed for number in fed]
        self.numbers = tuple(number for _, number in entries)
        self._spans = [span for span, _ in entries]
        self._decoders = [decoders[number] for number in self.numbers]
        mine = [registers[number] for number in self.numbers]
        start, count = block.request.start, block.request.count
        self._slices = [slice(span.start - start, span.end - start) for span in self._spans]
        self._swaps = any(register.order.low_byte_first for register in mine)
        self._swap = struct.Struct(f">{count}H"), struct.Struct(f"<{count}H")
        places = [
            place for span, one in zip(self._spans, mine, strict=True) for place in _places(span, one, start, count)
        ]
        self._pick = _picking(places, count)
        self._pack = struct.Struct(f">{len(places)}H").pack
        self._numbers = struct.Struct(">" + "".join(FORMATS[register.encoding][1:] for register in mine)).unpack
        self._bits = struct.Struct(">" + "".join(_BITS[register.encoding.words] for register in mine)).unpack
        self._scales = [decoder.exactly or _NEVER for decoder in self._decoders]
        self._times = [times for times, _, _ in self._scales]
        self._pers = [per for _, per, _ in self._scales]
        self._guards = [(place, one.missing) for place, one in enumerate(self._decoders) if one.missing]
        self._sure = all(
            not one.encoding.floating and bound > 1 << 16 * one.encoding.words
            for one, (_, _, bound) in zip(mine, self._scales, strict=True)
        )
        # Numbers that are values as they come: any finite double, and integers that every double can show.
        self._bare = all(
            (times, per) == (1, 1.0) and bound > (0 if one.encoding.floating else 1 << 16 * one.encoding.words)
            for one, (times, per, bound) in zip(mine, self._scales, strict=True)
        )
        self._single = places == list(range(count)) and len(mine) == count  # a value a word, in order
        self._plain = not self._guards and all(register.encoding is Encoding.UINT16 for register in mine)

    def __call__(self, answer: Answer) -> tuple[list[float | None], list[Words], dict[int, str]]:
        """Give values, their words, and by place the reasons of those that have no value."""
        words = answer.words
        if self._swaps:
            straight, swapped = self._swap
            ordered = self._pick(words + swapped.unpack(straight.pack(*words)))
        else:
            ordered = self._pick(words)
        octets = b"" if self._plain else self._pack(*ordered)
        numbers = ordered if self._plain else self._numbers(octets)
        values: list[float | None]
        if self._bare and (self._sure or all(map(isfinite, numbers))):
            values = list(map(float, numbers))
        elif self._sure:
            values = list(map(truediv, map(mul, numbers, self._times), self._pers))
        else:
            values = [
                number * times / per if -bound < number < bound else None
                for number, (times, per, bound) in zip(numbers, self._scales, strict=True)
            ]
        raws: list[Words] = (
            list(zip(words, strict=False)) if self._single else list(map(words.__getitem__, self._slices))
        )
        return values, raws, self._faults(answer, octets, values, raws)

    def _faults(self, answer: Answer, octets: bytes, values: list[float | None], raws: list[Words]) -> dict[int, str]:
        """Mend, in place, what was not plain; gives the reasons of what has no value."""
        doubtful = [] if self._sure else [place for place, value in enumerate(values) if value is None]
        if self._guards:
            bits = self._bits(octets)
            doubtful += [place for place, missing in self._guards if bits[place] in missing]
        errors: dict[int, str] = {}
        for place in doubtful:
            values[place], error = self._decoders[place](raws[place])
            if error:
                errors[place] = error
        if answer.failed:
            for place, span in enumerate(self._spans):
                if span in answer.failed:
                    values[place], raws[place], errors[place] = None, (), answer.failed[span]
        return errors


def _places(span: Span, register: Register, start: int, count: int) -> Sequence[int]:
    """Where the words of a value stand, most significant first; swapped ones come ``count`` later."""
    first = span.start - start + (count if register.order.low_byte_first else 0)
    places = range(first, first + span.count)
    return places[::-1] if register.order.low_word_first else places


def _picking(places: list[int], count: int) -> Callable[[Words], Words]:
    if places == list(range(count)):
        return _as_it_is
    if len(places) == 1:
        (only,) = places
        return lambda words: (words[only],)
    return itemgetter(*places)


def _as_it_is(words: Words) -> Words:
    return words

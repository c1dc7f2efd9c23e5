"""How numbers are written: one way for the page, the terminal and everything else for people."""

from __future__ import annotations

import math

NOT_DEFINED = 'n/a'
_SHARE_DECIMALS = 3
_UNIT_DIGITS = 3
_LARGE = 10.0
# Numbers of things: written without decimals, and without the word.
COUNT = 'count'


def defined(value: float | None) -> bool:
    """Returns whether there is a number to show: not n/a, NaN or infinite."""
    return value is not None and math.isfinite(value)


def number_text(value: float | None, unit: str = '') -> str:
    """Returns a number as people read it, without its unit; 'n/a' where there is none.

    Shares and scores have three decimals, quantities with a unit three digits, counts none.
    """
    if value is None or not math.isfinite(value):
        return NOT_DEFINED
    return _fixed(value, _decimals(value, unit))


def change_text(change: float | None, unit: str = '') -> str:
    """Returns a difference with its sign; none for what is 0 as it is written."""
    text = number_text(change, unit)
    return f'+{text}' if change is not None and change > 0 and text.strip('0.') else text


def interval_text(low: float | None, high: float | None, unit: str = '') -> str:
    """Returns a 95 % interval as '[low, high]' with equal decimals; empty without one."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ''
    decimals = min(_decimals(low, unit), _decimals(high, unit))
    return f'[{_fixed(low, decimals)}, {_fixed(high, decimals)}]'


def with_unit(text: str, unit: str) -> str:
    """Returns a written number with its unit; 'n/a' and empty ones stay alone."""
    return f'{text} {unit}' if unit not in ('', COUNT) and _has_digit(text) else text


def share_text(share: float | None) -> str:
    """Returns a share in per cent; 100 % and 0 % are said only where they are exact."""
    if share is None or not math.isfinite(share):
        return NOT_DEFINED
    percent = 100.0 * share
    if 0 < percent < 0.1:
        return '<0.1 %'
    if 99.9 < percent < 100:
        return '>99.9 %'
    return f'{_fixed(percent, 0 if percent in (0.0, 100.0) else 1)} %'


def duration_text(seconds: float) -> str:
    """Returns a length of time: '45.2 s', '12 min 05 s', '2 h 05 min'."""
    if seconds < 59.95:
        return f'{seconds:.1f} s'
    whole = round(seconds)
    if whole < 3600:
        return f'{whole // 60} min {whole % 60:02d} s'
    minutes = round(seconds / 60)
    return f'{minutes // 60} h {minutes % 60:02d} min'


def plural(count: int, one: str, many: str = '') -> str:
    """Returns a count with its noun: '1 scene', '3 scenes'."""
    return f'{count} {one if count == 1 else many or one + "s"}'


def _decimals(value: float, unit: str) -> int:
    size = abs(value)
    if unit == COUNT:
        return 0 if value == round(value) else 1
    if unit:
        whole_digits = max(1, math.floor(math.log10(size)) + 1) if size >= 1 else 0
        return max(0, _UNIT_DIGITS - whole_digits)
    if size < _LARGE:
        return _SHARE_DECIMALS
    return 0 if value == round(value) else 1


def _fixed(value: float, decimals: int) -> str:
    text = f'{value:.{decimals}f}'
    return text[1:] if text.startswith('-') and not text.strip('-0.') else text


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)

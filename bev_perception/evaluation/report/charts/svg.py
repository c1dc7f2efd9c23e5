"""SVG elements as text in which every name and label is escaped."""

from __future__ import annotations

import html


class Svg(str):
    """Finished markup; templates take it as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def element(tag: str, *children: str, **attributes: str | float) -> Svg:
    """Returns an element; children that are no markup are escaped, as are attributes.

    Attributes are named as in SVG with '_' for '-'; 'class_' is 'class'. Empty ones are left out.
    """
    texts = [
        f' {name.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for name, value in attributes.items()
        if value != ''
    ]
    body = ''.join(c if isinstance(c, Svg) else html.escape(c, quote=False) for c in children)
    opening = f'<{tag}{"".join(texts)}'
    return Svg(f'{opening}>{body}</{tag}>' if body else f'{opening}/>')


def picture(
    width: float,
    height: float,
    label: str,
    *children: str,
    class_: str = '',
    stretch: bool = False,
) -> Svg:
    """Returns a whole SVG picture of a size in pixels, which scales with its box.

    Args:
        width: of the drawing.
        height: of the drawing.
        label: what it shows, for those who hear the page; empty: what stands beside it says all.
        children: of the picture.
        class_: of the style sheet.
        stretch: whether it fills boxes of other proportions.
    """
    return element(
        'svg',
        *children,
        viewBox=f'0 0 {number(width)} {number(height)}',
        width=width,
        height=height,
        role='img' if label else '',
        aria_label=label,
        aria_hidden='' if label else 'true',
        preserveAspectRatio='none' if stretch else '',
        class_=class_,
    )


def number(value: float) -> str:
    """Returns a coordinate with at most two decimals."""
    text = f'{value:.2f}'.rstrip('0').rstrip('.')
    return '0' if text in ('-0', '') else text


def _attribute(value: str | float) -> str:
    return html.escape(value) if isinstance(value, str) else number(value)

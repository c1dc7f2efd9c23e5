"""An HTML page taken apart with the parser of the standard library."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {'meta', 'img', 'br', 'link', 'input', 'hr'}


@dataclass
class Element:
    """One element; `text` holds that of its descendants, too."""

    tag: str
    attributes: dict[str, str]
    parents: tuple[str, ...]
    text: str = ''


@dataclass
class Page(HTMLParser):
    """All elements of a page in order; `errors` are end tags that close something else."""

    elements: list[Element] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def parse(cls, text: str) -> Page:
        """Returns the elements of a page."""
        page = cls()
        page.feed(text)
        page.close()
        page.errors += [f'<{element.tag}> is not closed' for element in page._open]
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        parents = tuple(element.tag for element in self._open)
        element = Element(tag, {name: value or '' for name, value in attrs}, parents)
        if len(element.attributes) != len(attrs):
            self.errors.append(f'<{tag}> has an attribute twice')
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.errors.append(f'</{tag}> inside {[element.tag for element in self._open]}')
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Returns the elements with a tag and attributes ('class_': one of its classes)."""
        found = [element for element in self.elements if element.tag == tag]
        for name, value in attributes.items():
            if name == 'class_':
                found = [e for e in found if value in e.attributes.get('class', '').split()]
            else:
                found = [e for e in found if e.attributes.get(name.replace('_', '-')) == value]
        return found

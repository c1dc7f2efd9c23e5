"""Configuration as text: YAML in, with duplicate keys refused; stable YAML out."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

_NO_WRAPPING = 1_000_000


class YamlError(ValueError):
    """The text is not YAML, or gives a key twice; one line with the place."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, where YAML would silently keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise YamlError(
                    f"key '{key_node.value}' is given twice, the second time in line "
                    f'{key_node.start_mark.line + 1}; remove one'
                )
            seen.add(key_node.value if isinstance(key_node, yaml.ScalarNode) else id(key_node))
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes lists of scalars on one line."""


def _represent_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    inline = not any(isinstance(value, (list, dict)) for value in values)
    return dumper.represent_sequence('tag:yaml.org,2002:seq', values, flow_style=inline)


_Dumper.add_representer(list, _represent_list)


def from_yaml(text: str, before_place: str = ' in ') -> Any:
    """Returns the plain Python values of a YAML document.

    Args:
        text: the document.
        before_place: what joins "not valid YAML" and the line in errors.

    Raises:
        YamlError: not YAML, or a key is given twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f'{before_place}line {mark.line + 1}, column {mark.column + 1}' if mark else ''
        raise YamlError(f'not valid YAML{place}: {error.problem}') from error
    except yaml.YAMLError as error:
        raise YamlError(f'not valid YAML: {" ".join(str(error).split())}') from error


def to_yaml(content: dict[str, Any]) -> str:
    """Returns YAML with keys in the order given and every list of scalars on one line."""
    return yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_NO_WRAPPING
    )

"""The command that reports name: what was asked for, without where it lies."""

from __future__ import annotations

import argparse

import pytest

from bev_perception.cli.evaluate import add_arguments, command_of


def command(*words: str) -> str:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return command_of(parser.parse_args(words))


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ('/somewhere/world --split test --rate 2 -o out', 'world --split test --rate 2'),
        ('a/bag b/other -o out --workers 3 --device cpu --ray x:1', 'bag other'),
        ('bag -o out --model /m/mine --model nano', 'bag --model mine --model nano'),
        ('bag -o out --results /r/one --results /r/two', 'bag --results one --results two'),
        ('bag -o out --live --submission', 'bag --live'),
        ('bag -o out --every 0.5 --hidden ignore --min-visibility 0.1', 'bag'),
        ('bag -o o --hidden drop --min-visibility 0.4', 'bag --hidden drop --min-visibility 0.4'),
        ('bag -o out --strengths 1 --robustness late', 'bag --robustness late --strengths 1'),
        ('bag -o out --truth-topic /ground_truth/x', 'bag --truth-topic /ground_truth/x'),
        ('-o out --compare /r/monday friday', '--compare monday friday'),
    ],
)  # fmt: skip
def test_what_was_asked_for(words: str, expected: str) -> None:
    assert command(*words.split()) == f'bev evaluate {expected}'

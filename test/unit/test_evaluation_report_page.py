"""The page of an evaluation: numbers, escaping, self-containment, odd sizes."""

from __future__ import annotations

import hashlib
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.html_page import Page
from support.sample_evaluation import (
    NANO,
    SIX_CAMERAS,
    SMALL,
    UNTRAINED,
    Model,
    picture_png,
    sample_evaluation,
)

from bev_perception.evaluation.metric import Confusion, Curve
from bev_perception.evaluation.report import report_html, results_json
from bev_perception.evaluation.report.figure_names import headline_names
from bev_perception.evaluation.report.json_file import parse_results
from bev_perception.evaluation.report.numbers import change_text, number_text
from bev_perception.evaluation.report.views.pictures import MAX_PICTURES, picture_uri
from bev_perception.evaluation.results import (
    Comparison,
    Difference,
    Estimate,
    Evaluation,
    FrameNote,
    FramePicture,
    Refusal,
    RunResult,
    SceneResult,
    Timing,
)
from bev_perception.evaluation.scenes.scene import SceneInfo

HOSTILE = '<script>alert("1")</script>\' onmouseover="x" &amp; {{ 7 * 7 }} </style>'


def tables_of(text: str, class_: str) -> list[Page]:
    """Returns the tables of a class, each on its own."""
    found = re.findall(rf'<table class="{class_}">.*?</table>', text, re.S)
    return [Page.parse(table) for table in found]


@pytest.fixture(scope='module')
def evaluation() -> Evaluation:
    return sample_evaluation(scenes=3, frames=45, every=8)


@pytest.fixture(scope='module')
def page(evaluation: Evaluation) -> Page:
    return Page.parse(report_html(evaluation))


def bare_run(
    figures: Mapping[str, Estimate] | None = None,
    condition: str = 'clean',
    model: str = 'm',
    data: str = 'd',
) -> RunResult:
    return RunResult(model, 'somewhere', data, condition, figures or {}, {}, {}, ())


def higher(value: float | None) -> Estimate:
    return Estimate(value, None, None, 'higher')


def lower(value: float | None, unit: str = '') -> Estimate:
    return Estimate(value, None, None, 'lower', unit)


def test_page_is_well_formed(page: Page) -> None:
    assert page.errors == []
    anchors = [a.attributes['href'] for a in page.all('a')]
    ids = [element.attributes['id'] for element in page.elements if 'id' in element.attributes]
    assert len(set(ids)) == len(ids)
    assert {anchor[1:] for anchor in anchors} <= set(ids)
    assert all(anchor.startswith('#') for anchor in anchors)


def test_numbers_are_those_of_the_json(evaluation: Evaluation, page: Page) -> None:
    runs = parse_results(results_json(evaluation)).runs
    by_key = dict(zip('ABCD', runs, strict=False))
    shown = page.all('data')
    figures = [e for e in shown if 'data-figure' in e.attributes]
    values: set[tuple[str, str, float | None]] = set()
    for element in figures:
        run = by_key[element.attributes['data-run']]
        name = element.attributes['data-figure']
        whole = run.figures[name]
        known = [whole.value, *(scene.figures[name].value for scene in run.scenes)]
        value = float(element.attributes['value'])
        assert value in known
        assert element.text == number_text(value, whole.unit)
        values.add((element.attributes['data-run'], name, value))
    for key, run in by_key.items():
        for name, figure in run.figures.items():
            if figure.value is not None:
                assert (key, name, figure.value) in values
    for element in shown:
        if 'data-figure' not in element.attributes:
            change = float(element.attributes['value'])
            assert element.text in (change_text(change), change_text(change, 'm'))


def test_intervals_stand_beside_headline_figures(evaluation: Evaluation, page: Page) -> None:
    texts = [element.text for element in page.all('span', class_='interval')]
    names = headline_names(evaluation.runs[:4])
    figures = [run.figures[name] for name in names for run in evaluation.runs[:4]]
    assert len(texts) == len(figures)
    for text, figure in zip(texts, figures, strict=True):
        low, high = (float(part) for part in text.strip('[]').split(', '))
        assert figure.low == pytest.approx(low, abs=0.006)
        assert figure.high == pytest.approx(high, abs=0.006)


def test_nothing_outside_is_referred_to(evaluation: Evaluation, page: Page) -> None:
    text = report_html(evaluation)
    assert not {'script', 'link', 'iframe', 'object', 'embed', 'base'} & {
        element.tag for element in page.elements
    }
    for element in page.elements:
        for name in ('src', 'href', 'action', 'srcset', 'data', 'poster', 'background'):
            value = element.attributes.get(name, '#')
            assert value.startswith(('#', 'data:image/')), (element.tag, name, value[:60])
        assert not any(name.startswith('on') for name in element.attributes)
        assert 'url(' not in element.attributes.get('style', '')
    style = page.all('style')[0].text
    assert not re.search(r'@import|url\(|https?:', style)
    assert 'http' not in re.sub(r'data:image/[a-z]+;base64,[A-Za-z0-9+/=]+', '', text)
    assert 'prefers-color-scheme: dark' in style and '@media print' in style


def hostile_evaluation() -> Evaluation:
    """Returns an evaluation whose every text is hostile."""
    cameras = (f'{HOSTILE} 1', f'{HOSTILE} 2')
    notes = tuple(
        FrameNote(10**9 * i, ('USED', f'{HOSTILE} state'), 0.5, 0.1, HOSTILE if i == 2 else '')
        for i in range(4)
    )
    info = SceneInfo(f'{HOSTILE} scene', HOSTILE, cameras, 4.0)
    figure = Estimate(0.5, 0.4, 0.6, 'higher', f'{HOSTILE} unit')
    names = [f'detection/{HOSTILE}/{HOSTILE} {i}' for i in range(3)] + [HOSTILE, 'detection/mAP']
    figures = dict.fromkeys(names, figure)
    curve = Curve(np.array([0.0, 1.0]), np.array([0.5, 0.6]), f'{HOSTILE} x', f'{HOSTILE} y')
    confusion = Confusion((f'{HOSTILE} row',), (f'{HOSTILE} column',), np.array([[3]]))
    runs = tuple(
        RunResult(
            f'{HOSTILE} model {model}',
            f'{HOSTILE} trained',
            f'{HOSTILE} data {data}',
            condition,
            figures,
            {f'detection/{HOSTILE}': curve},
            {f'detection/{HOSTILE}': confusion},
            (SceneResult(info, 4, notes, figures, (f'{HOSTILE} problem',)),),
        )
        for condition in ('clean', f'{HOSTILE} condition')
        for data in (0, 1)
        for model in (0, 1)
    )
    titles = [f'{run.model} on {run.data}' for run in runs[:2]]
    differences = tuple(Difference(name, 0.1, 0.2, 0.1, 0.05, 0.15, 'better') for name in names)
    stages = {f'{HOSTILE} stage': (0.1, 0.2)}
    return Evaluation(
        f'{HOSTILE} command',
        runs,
        (Comparison(titles[0], f'{HOSTILE} title', differences, ((HOSTILE, 5, 0.1, 0.2),)),),
        tuple(Timing(r.model, r.data, r.condition, stages, (0.3,), 1.0, 1.0) for r in runs),
        (FramePicture('worst', titles[0], f'{HOSTILE} frame', 7, 0.1, picture_png(64, 1)),),
        (Refusal(f'{HOSTILE} bag', f'{HOSTILE} reason'),),
        {f'{HOSTILE} setting': f'{HOSTILE} value'},
    )


def test_hostile_names_stay_text() -> None:
    safe = Page.parse(report_html(sample_evaluation(scenes=2, frames=3, every=40)))
    hostile = Page.parse(report_html(hostile_evaluation()))
    assert hostile.errors == []
    assert {element.tag for element in hostile.elements} <= {e.tag for e in safe.elements}
    attributes = {name for element in hostile.elements for name in element.attributes}
    assert attributes <= {name for element in safe.elements for name in element.attributes}
    body = hostile.all('body')[0].text
    for word in ('scene', 'model 0', 'trained', 'data 1', 'row', 'column', 'state', 'problem',
                 'command', 'title', 'bag', 'reason', 'setting', 'value', 'condition', 'unit',
                 'x', 'y'):  # fmt: skip
        assert f'{HOSTILE} {word}'.lower() in body.lower(), word
    assert len(hostile.all('style')) == 1


def test_what_is_not_defined_is_never_zero(page: Page, evaluation: Evaluation) -> None:
    run = evaluation.runs[2]
    assert run.data == 'nuscenes' and run.figures['iou/long/lane'].value is None
    cells = [
        cell for cell in page.all('td') if cell.attributes.get('title') == 'iou/long/lane: n/a'
    ]
    assert len(cells) >= 4
    assert {cell.text for cell in cells} == {'n/a'}
    undefined = [e.text for e in page.all('p', class_='quiet') if 'Not defined' in e.text]
    assert undefined == ['Not defined here: bus.']


def test_across_data_says_n_a_and_not_run() -> None:
    figures = {'iou/long/vehicle': higher(0.5), 'iou/long/lane': higher(0.4)}
    missing = {'iou/long/vehicle': higher(0.3), 'iou/long/lane': higher(None)}
    runs = (
        bare_run(figures, model='one', data='here'),
        bare_run(missing, model='one', data='there'),
        bare_run(figures, model='two', data='here'),
    )
    tables = tables_of(report_html(Evaluation('', runs)), 'across')
    texts = [[cell.text for cell in table.all('td')] for table in tables]
    assert texts == [['0.500', '0.300', '0.500', '–'], ['0.400', 'n/a', '0.400', '–']]


def test_a_model_at_home_is_marked_by_whole_words() -> None:
    figures = {'iou/long/vehicle': higher(0.5)}
    runs = tuple(
        replace(bare_run(figures, data=data), trained_on='nuScenes and lyft-mini')
        for data in ('nuscenes', 'scenes', 'lyft')
    )
    (table,) = tables_of(report_html(Evaluation('', runs)), 'across')
    home = ['home' in cell.attributes['class'].split() for cell in table.all('td')]
    assert home == [True, False, True]


def test_untrained_refused_and_unscored_are_said_at_once() -> None:
    evaluation = sample_evaluation((UNTRAINED,), ('synthetic',), 2, 0, every=0)
    notices = [n.text for n in Page.parse(report_html(evaluation)).all('div', class_='notice')]
    assert any(text.strip().startswith('UNTRAINED') for text in notices)
    assert any('No frame of' in text for text in notices)
    assert any('drive_07.mcap no camera image' in text for text in notices)
    trained = report_html(sample_evaluation((NANO,), ('synthetic',), 1, 2, every=0))
    assert 'UNTRAINED' not in trained


@pytest.mark.parametrize(
    'arguments',
    [
        {'models': (), 'every': 0},
        {'models': (NANO,), 'data': ('synthetic',), 'scenes': 0, 'every': 0},
        {'models': (NANO,), 'data': ('synthetic',), 'scenes': 1, 'frames': 1, 'every': 0},
        {'models': (NANO,), 'data': ('synthetic',), 'scenes': 2, 'frames': 0, 'every': 60},
        {'cameras': ('only',), 'scenes': 2, 'frames': 5, 'every': 3},
        {'classes': ('car',), 'scenes': 2, 'frames': 2, 'every': 0},
    ],
)  # fmt: skip
def test_odd_sizes(arguments: dict[str, Any]) -> None:
    page = Page.parse(report_html(sample_evaluation(**arguments)))
    assert page.errors == []
    assert (
        'nan'
        not in ' '.join(
            value for e in page.elements for name, value in e.attributes.items() if name != 'src'
        )
        .lower()
        .split()
    )


def test_many_scenes_cameras_and_classes_stay_small() -> None:
    evaluation = sample_evaluation(
        (NANO, SMALL), ('synthetic',), 200, 8, [f'camera_{i}' for i in range(30)],
        [f'class {i}' for i in range(20)], every=0, pictures=False,
    )  # fmt: skip
    text = report_html(evaluation)
    page = Page.parse(text)
    assert page.errors == []
    assert len(text) < 2_500_000
    strips = page.all('article', class_='health')
    assert len(strips) == 67  # every third scene has trouble
    assert 'In 133 scenes every camera was used' in text
    table = page.all('table', class_='scenes')
    assert len(table) == 2 and '175 more scenes' in text


def test_long_scenes_are_thinned() -> None:
    states = ('USED', 'LATE')
    notes = tuple(
        FrameNote(50_000_000 * i, tuple(states[(i + c) % 2] for c in range(6)), 0.5, 0.0)
        for i in range(12_000)
    )
    scene = SceneResult(SceneInfo('s', 'd', SIX_CAMERAS, 600.0), 12_000, notes, {})
    run = replace(bare_run(), scenes=(scene,))
    text = report_html(Evaluation('', (run,)))
    assert len(text) < 100_000
    assert '50.0 % late 50.0 %' in ' '.join(Page.parse(text).all('article')[0].text.split())


def test_equal_evaluations_give_equal_bytes(tmp_path: Path) -> None:
    program = (
        'import sys, hashlib\n'
        'from support.sample_evaluation import sample_evaluation\n'
        'from bev_perception.evaluation.report import report_html, results_json\n'
        'e = sample_evaluation(scenes=2, frames=4, every=30)\n'
        'print(hashlib.sha256((report_html(e) + results_json(e)).encode()).hexdigest())\n'
    )
    found = set()
    for seed in ('1', '2'):
        environment = {**os.environ, 'PYTHONHASHSEED': seed, 'PYTHONPATH': 'test'}
        result = subprocess.run(
            [sys.executable, '-c', program],
            env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        found.add(result.stdout.strip())
    here = sample_evaluation(scenes=2, frames=4, every=30)
    text = report_html(here) + results_json(here)
    assert found == {hashlib.sha256(text.encode()).hexdigest()}


def test_a_stored_evaluation_gives_the_same_page() -> None:
    evaluation = sample_evaluation(scenes=2, frames=4, every=30, timings=False, pictures=False)
    assert report_html(parse_results(results_json(evaluation))) == report_html(evaluation)


def test_changes_under_conditions_by_hand() -> None:
    def figures(score: float | None, error_m: float) -> dict[str, Estimate]:
        return {'detection/mAP': higher(score), 'forecast/minADE': lower(error_m, 'm')}

    runs = (
        bare_run(figures(0.5, 1.0)),
        bare_run(figures(0.4, 1.5), 'camera a missing'),
        bare_run(figures(0.2, 0.9), 'camera b missing'),
        bare_run(figures(None, 1.0), 'camera c missing'),
        bare_run({'detection/mAP': higher(0.45)}, 'fog 1'),
    )
    summary, cameras, images = tables_of(report_html(Evaluation('', runs)), 'heat')
    assert [cell.text.strip() for cell in summary.all('td')] == [
        '0.500', '1.00 m', '-0.200', '+0.133', '-0.050', 'n/a',
    ]  # fmt: skip
    assert [row.text for row in cameras.all('th', scope='row')] == [
        'camera b missing', 'camera a missing', 'camera c missing',
    ]  # fmt: skip
    cells = cameras.all('td')
    assert [c.text for c in cells] == ['-0.300', '-0.100', '-0.100', '+0.500', 'n/a', '0.000']
    # Half of the clean value lost is the strongest red.
    looks = [(c.attributes['class'].split()[1:], c.attributes.get('style')) for c in cells]
    assert looks == [
        (['worse'], '--s:1.00'), (['better'], '--s:0.20'),
        (['worse'], '--s:0.40'), (['worse'], '--s:1.00'),
        ([], None), ([], None),
    ]  # fmt: skip
    assert [row.text for row in images.all('th', scope='row')] == ['fog 1']


def test_without_a_clean_run_there_is_no_change() -> None:
    runs = (bare_run({'detection/mAP': higher(0.4)}, 'fog 1'), bare_run(condition='fog 2'))
    text = report_html(Evaluation('', runs))
    assert 'There is no clean run to compare with' in text
    assert 'm on d, fog 1' in text


def test_comparison_shows_what_is_significant() -> None:
    figures = {'detection/mAP': higher(0.5), 'tracking/IDS': lower(9.0, 'count')}
    runs = (bare_run(figures, model='old'), bare_run(figures, model='new'))
    differences = (
        Difference('detection/mAP', 0.5, 0.5004, 0.0004, -0.01, 0.01, 'same'),
        Difference('tracking/IDS', 9.0, 7.0, -2.0, -3.0, -1.0, 'better'),
        Difference('iou/long/car', 0.5, 0.4, -0.1, -0.2, -0.05, 'worse'),
        Difference('iou/long/bus', None, 0.4, None, None, None, 'n/a'),
    )
    comparison = Comparison('old on d', 'new on d', differences, (('s1', 42, 0.9, 0.2),))
    text = report_html(Evaluation('', runs, (comparison,)))
    section = text[text.index('<section id="comparison">') :]
    page = Page.parse(section[: section.index('</section>') + 10])
    rows = [
        [c.text for c in Page.parse(row).all('td')]
        for row in re.findall(r'<tr>(.*?)</tr>', section)
    ]
    assert ['0.500', '0.500', '0.000', '[-0.010, 0.010]', '', 'no clear change'] in rows
    assert ['9', '7', '-2', '[-3, -1]', '', '▲ better'] in rows
    assert ['0.500', '0.400', '-0.100', '[-0.200, -0.050]', '', '▼ worse'] in rows
    assert ['n/a', '0.400', 'n/a', '', '', 'n/a'] in rows
    assert ['42', '0.900', '0.200', '-0.700'] in rows
    verdicts = [item.text for item in page.all('li')]
    assert verdicts == ['▲ 1 better', '▼ 1 worse', '1 without a clear change', '1 n/a']
    heading = next(h.text for h in page.all('h3'))
    assert heading == 'B new on d against A old on d'


def test_the_best_is_marked_where_it_is_written_differently() -> None:
    def figures(first: float, second: float) -> dict[str, Estimate]:
        return {'detection/mAP': higher(first), 'detection/mAOE': lower(second, 'rad')}

    runs = (
        bare_run(figures(0.50001, 0.5), model='a'),
        bare_run(figures(0.50002, 0.4), model='b'),
        bare_run(figures(0.9, 0.1), model='c', data='other'),
    )
    text = report_html(Evaluation('', runs))
    cells = [c for table in tables_of(text, 'plain') for c in table.all('td')]
    marked = [c.text for c in cells if 'best' in c.attributes['class'].split()]
    assert marked == ['0.400 rad']
    rows = Page.parse(text).all('div', class_='tile-row')
    assert len(rows) == 3 and not any('best' in row.attributes['class'].split() for row in rows)


def test_confusion_is_in_per_cent_of_the_row() -> None:
    confusion = Confusion(
        ('car', 'nothing'), ('car', 'bus', 'nothing'), np.array([[6, 1, 3], [0, 0, 0]])
    )
    run = replace(bare_run(), confusions={'detection/confusion@2m': confusion})
    text = report_html(Evaluation('', (run,)))
    table = tables_of(text, 'confusion')[0]
    assert [cell.text for cell in table.all('td')] == ['60', '10', '30', '10', '', '', '', '0']
    assert table.all('td')[1].attributes['title'] == 'car taken for bus: 1 of 10'


def test_latency_is_there_only_when_it_was_measured() -> None:
    evaluation = sample_evaluation((NANO,), ('synthetic',), 1, 3, every=0)
    milliseconds = replace(
        evaluation.timings[0], stages_s={'lift': (0.002,) * 3}, latency_s=(0.01, 0.02, 0.03)
    )
    text = report_html(replace(evaluation, timings=(milliseconds,)))
    table = tables_of(text, 'stages')[0]
    cells = [cell.text for cell in table.all('td', class_='num')]
    assert cells == ['20.0', '29.0', '29.8', '30.0', '2.00', '2.00', '2.00', '2.00']
    assert 'id="latency"' not in report_html(replace(evaluation, timings=()))


def test_large_pictures_are_made_smaller_and_bad_ones_are_left_out() -> None:
    small, large = picture_png(320, 1), picture_png(2400, 2)
    assert picture_uri(small).startswith('data:image/png;base64,')
    uri = picture_uri(large)
    assert uri.startswith('data:image/jpeg;base64,')
    assert len(uri) < 0.15 * len(large)
    assert (
        picture_uri(b'') == picture_uri(b'\x89PNG broken'[:3]) == picture_uri(b'x' * 400_000) == ''
    )
    picture = FramePicture('best', 'm on d', 's', 5, 0.5, b'')
    text = report_html(Evaluation('', (bare_run(),), pictures=(picture,) * (MAX_PICTURES + 3)))
    assert text.count('The picture cannot be shown') == MAX_PICTURES
    assert '3 more pictures left out' in text


def test_pictures_are_ordered_by_kind_within_their_run() -> None:
    pictures = tuple(
        FramePicture(kind, run, f'{kind} scene', 5, 0.5, picture_png(64, 1))
        for run in ('a', 'b')
        for kind in ('best', 'differs', 'worst', 'median')
    )  # fmt: skip
    page = Page.parse(report_html(Evaluation('', (bare_run(),), pictures=pictures)))
    shown = [e.text.split()[0] for e in page.all('figcaption') if 'scene' in e.text]
    assert shown == ['worst', 'median', 'best', 'models'] * 2


def test_other_families_are_shown_too() -> None:
    run = bare_run(
        {'zoo/lions': higher(3.25), 'alone': higher(math.nan), 'zoo/big/cats': higher(0.125)}
    )
    page = Page.parse(report_html(Evaluation('', (run,))))
    headings = [heading.text for heading in page.all('h3')]
    assert 'Zoo' in headings and 'Other figures' in headings
    cells = [cell.text for cell in page.all('td', class_='num')]
    assert {'3.250', '0.125', 'n/a'} <= set(cells)


def test_qualified_figures_are_columns_of_their_class() -> None:
    names = ('iou/long/car', 'iou/long/car/observed', 'iou/long/bus', 'iou/long/bus/observed')
    figures = {name: higher(0.1 * index) for index, name in enumerate(names, 1)}
    run = bare_run(figures)
    text = report_html(Evaluation('', (run,)))
    table = tables_of(text, 'classes')[0]
    assert [c.text for c in table.all('th', scope='rowgroup')] == ['car', 'bus']
    assert [c.text.rstrip('↑') for c in table.all('th', scope='col')] == [
        '',
        'long',
        'long, observed',
    ]
    assert [c.text for c in table.all('td')] == ['0.100', '0.200', '0.300', '0.400']


def test_rows_say_their_unit_where_columns_cannot() -> None:
    """Figures of all classes, then of each, with one that only the whole has."""
    figures: dict[str, Estimate] = {}
    for tail in ('', '/car', '/bus', '/truck'):
        figures[f'tracking/AMOTA{tail}'] = higher(0.5)
        figures[f'tracking/AMOTP{tail}'] = lower(0.25, 'm')
    figures['tracking/devkit/AMOTA'] = higher(0.4)
    text = report_html(Evaluation('', (bare_run(figures),)))
    (by_class,), (listed,) = tables_of(text, 'classes'), tables_of(text, 'plain')
    columns = [' '.join(c.text.split()) for c in by_class.all('th', scope='col')]
    assert columns == ['', 'AMOTA↑', 'AMOTP↓m']
    assert [c.text for c in by_class.all('th', scope='rowgroup')] == ['car', 'bus', 'truck']
    titles = [c.text.replace('\N{NO-BREAK SPACE}', ' ') for c in listed.all('th', scope='row')]
    assert titles == ['AMOTA↑', 'AMOTP↓', 'AMOTA · devkit↑']
    turned = {f'tracking/f{i}/{name}': higher(0.5) for i in range(11) for name in ('car', 'bus')}
    turned |= {f'tracking/g/{name}': lower(0.25, 'm') for name in ('car', 'bus')}
    table = tables_of(report_html(Evaluation('', (bare_run(turned),))), 'classes')[0]
    assert [c.text for c in table.all('th', scope='col')] == ['', 'car', 'bus']
    rows = [c.text for c in table.all('th', scope='rowgroup')]
    assert (rows[0], rows[-1]) == ('f0↑', 'g↓ m')


def test_runs_whose_cameras_did_the_same_share_their_strips(page: Page) -> None:
    section = [heading.text.split() for heading in page.all('h3')]
    assert ['synthetic', 'A', 'B'] in section and ['nuscenes', 'C', 'D'] in section


def test_many_models_have_their_own_letters() -> None:
    models = [Model(f'model-{i}', 'synthetic', 0.3) for i in range(9)]
    page = Page.parse(report_html(sample_evaluation(models, ('synthetic',), 1, 1, every=0)))
    keys = [b.text for b in page.all('b', class_='badge') if 'table' in b.parents][:9]
    assert keys == list('ABCDEFGHI')

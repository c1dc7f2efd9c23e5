"""`bev import`: others' weights become a model folder that runs, or one line and nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.level_camera import level_camera
from support.published_lss import published_state
from support.published_power_bev import published_geometry
from support.published_power_bev import published_weights as power_bev_weights
from support.published_simple_bev import published_weights as simple_bev_weights
from torch import Tensor

from bev_perception.cli.main import main
from bev_perception.errors import ConfigError
from bev_perception.frame import BevFrame, CameraSample, FrameSet
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import pose_from_yaw
from bev_perception.importers.lift_splat_shoot import import_lift_splat_shoot
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.state import CameraState
from bev_perception.model.config_published import PublishedConfig
from bev_perception.model.folder import LoadedModel, load_model
from bev_perception.pipeline import BevPipeline, PipelineConfig

State = dict[str, Tensor]
STEP_NS = 500_000_000
REFERENCE = ('--reference', 2.5, -0.1, 2.25)


def drawn(shapes: State, fixed: State | None = None) -> State:
    """Returns random weights of the same names and shapes; `fixed` are taken as they are.

    Normalisations make features smaller, so that no output is saturated after many blocks.
    """
    generator = torch.Generator().manual_seed(0)
    state = {
        name: torch.rand(like.shape, generator=generator) * 0.3
        + (1.0 if name.endswith('running_var') else 0.0)
        if like.dim() < 2
        else torch.randn(like.shape, generator=generator) / like[0].numel() ** 0.5
        for name, like in shapes.items()
    }
    return state | (fixed or {})


def short_power_bev() -> State:
    return drawn(power_bev_weights(15.0, 0.15), published_geometry(15.0, 0.15))


SOURCES: dict[str, Callable[[], State]] = {
    'lift-splat-shoot': published_state,
    'simple-bev': lambda: drawn(simple_bev_weights()),
    'power-bev': short_power_bev,
}


@pytest.fixture(scope='module')
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('weights')


@pytest.fixture(scope='module', autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def bev_import(*arguments: object) -> int:
    return main(['import', *map(str, arguments)])


def folder_of(place: Path, source: str) -> Path:
    """Returns the imported model folder of a source, made once."""
    folder = place / source
    if not folder.exists():
        torch.save({'state_dict': SOURCES[source]()}, place / f'{source}.pt')
        more = REFERENCE if source == 'simple-bev' else ()
        assert bev_import(source, place / f'{source}.pt', '-o', folder, *more) == 0
    return folder


def published_config(loaded: LoadedModel) -> PublishedConfig:
    assert isinstance(loaded.config, PublishedConfig)
    return loaded.config


def frame_set(stamp_ns: int, x_m: float = 0.0) -> FrameSet:
    """Returns one camera's image of noise, the vehicle at `x_m`."""
    camera = level_camera(320, 180, 250.0, position_m=(1.7, 0.0, 1.5))
    pixels = np.random.default_rng(0).integers(0, 256, 180 * 320 * 3, dtype=np.uint8)
    image = CameraImage(pixels, 'rgb8', 320, 180, 320 * 3, compressed=False)
    sample = CameraSample('front', CameraState.USED, '', stamp_ns, image, camera)
    odom_T_base = pose_from_yaw(x_m, 0.0, 0.0, 0.0)
    return FrameSet(stamp_ns, 'base_link', (sample,), odom_T_base=odom_T_base)


def vehicles_of(frame: BevFrame, loaded: LoadedModel) -> NDArray[np.float32]:
    """Returns the occupancy, after a check that it is of vehicles, and that there is no more."""
    grid = loaded.config.bev_grid()
    assert frame.grid == grid and frame.semantic_classes == ('vehicle',)
    assert frame.occupancy is not None and frame.semantics is not None
    assert frame.occupancy.shape == grid.shape and frame.observed.any()
    assert np.isfinite(frame.occupancy).all() and frame.occupancy.std() > 1e-4
    assert np.array_equal(frame.semantics, frame.occupancy[None])
    assert frame.objects is None and frame.model_id == loaded.model_id
    assert [camera.state for camera in frame.cameras] == [CameraState.USED]
    return frame.occupancy


@pytest.mark.parametrize(
    ('source', 'resolution_m', 'corner_m'),
    [
        ('lift-splat-shoot', 0.5, (-50.0, -50.0)),
        ('simple-bev', 0.5, (-47.5, -50.1)),
        ('power-bev', 0.15, (-15.0, -15.0)),
    ],
)
def test_imported_weights_run(
    place: Path, source: str, resolution_m: float, corner_m: tuple[float, float]
) -> None:
    loaded = load_model(folder_of(place, source))
    config = published_config(loaded)
    assert config.architecture == source.replace('-', '_')
    assert config.bev_grid() == BevGrid(*corner_m, resolution_m, 200, 200)
    content = (place / f'{source}.pt').read_bytes()
    assert config.reference_height_m == (2.25 if source == 'simple-bev' else None)
    assert config.training.trained
    assert config.training.description == (
        f'imported from {source}.pt, SHA-256 {hashlib.sha256(content).hexdigest()}'
    )
    assert config.licence == 'see the source of the weights'
    pipeline = BevPipeline(loaded, PipelineConfig('cpu'))
    first = pipeline.step(frame_set(STEP_NS))
    alone = vehicles_of(first, loaded)
    if source != 'power-bev':
        assert first.instances is None and first.future_occupancy is None
        return
    assert first.time_step_s == 0.5
    assert first.instances is not None and first.instances.shape == (5, 200, 200)
    assert first.future_occupancy is not None and first.future_occupancy.shape == (4, 200, 200)
    # The same image again, the vehicle 3 m on: only the memory can tell.
    moved = vehicles_of(pipeline.step(frame_set(2 * STEP_NS, 3.0)), loaded)
    assert not np.array_equal(moved, alone)
    pipeline.reset()
    again = vehicles_of(pipeline.step(frame_set(3 * STEP_NS, 6.0)), loaded)
    assert np.array_equal(again, alone)


def test_the_weights_are_those_of_the_checkpoint(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    loaded = load_model(folder_of(place, 'lift-splat-shoot'))
    expected, _ = import_lift_splat_shoot(published_state())
    found = loaded.model.get_submodule('published').state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    folder = folder_of(place, 'lift-splat-shoot')
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    call = ('lift-splat-shoot', place / 'lift-splat-shoot.pt', '-o', folder)
    capfd.readouterr()
    assert bev_import(*call) == 2
    assert 'already exists' in capfd.readouterr().err
    assert bev_import(*call, '--force') == 0
    out, err = capfd.readouterr()
    assert err == '' and 'weights of Lift-Splat-Shoot' in out and loaded.model_id in out
    rows = dict(line.split()[:2] for line in out.splitlines()[1:4])
    counted = [name for name in expected if not name.endswith('num_batches_tracked')]
    assert rows['matched'] == str(len(counted)) and rows['missing'] == '0'
    # The same file again gives the same bytes.
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def without(state: State, name: str) -> State:
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ('source', 'content', 'words'),
    [
        ('lift-splat-shoot', None, ('no such checkpoint',)),
        ('lift-splat-shoot', b'not a checkpoint', ('holds more than weights',)),
        ('power-bev', {'x': torch.ones(2)}, ('not its weights', 'bev_resolution is missing')),
        ('simple-bev', published_state, ('the weights do not fit', 'missing')),
        (
            'lift-splat-shoot',
            lambda: without(published_state(), 'bevencode.conv1.weight'),
            ('1 missing: bev_encoder.conv1.weight',),
        ),
        (
            'lift-splat-shoot',
            lambda: published_state() | {'dx': torch.tensor([0.3, 0.3, 20.0])},
            ('of another grid',),
        ),
        (
            'power-bev',
            lambda: drawn(power_bev_weights(20.0, 0.2), published_geometry(20.0, 0.2)),
            ('weights of another model', 'grid.resolution_m 0.15, got 0.2'),
        ),
    ],
)
def test_wrong_files_leave_one_line_and_nothing_else(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    source: str,
    content: object,
    words: tuple[str, ...],
) -> None:
    checkpoint = tmp_path / 'checkpoint.pt'
    if isinstance(content, bytes):
        checkpoint.write_bytes(content)
    elif content is not None:
        torch.save(content() if callable(content) else content, checkpoint)
    before = sorted(tmp_path.iterdir())
    assert bev_import(source, checkpoint, '-o', tmp_path / 'model') == 2
    out, err = capfd.readouterr()
    assert out == '' and err.count('\n') == 1
    assert err.startswith(f'bev: error: {checkpoint}: '), err
    assert all(word in err for word in words), err
    assert sorted(tmp_path.iterdir()) == before


def test_reference_is_for_one_network(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reference = ('--reference', 1, 2, 3)
    assert bev_import('power-bev', 'x.pt', '-o', place / 'no', *reference) == 2
    assert '--reference is for simple-bev only' in capfd.readouterr().err
    assert bev_import('simple-bev', 'x.pt', '-o', place / 'no', '--reference', 1, 2, 'nan') == 2
    assert '--reference must be finite' in capfd.readouterr().err


def test_warm_up_and_heads_that_are_not_there(place: Path) -> None:
    loaded = load_model(folder_of(place, 'lift-splat-shoot'))
    BevPipeline(loaded, PipelineConfig('cpu')).warm_up(2)
    assert loaded.model.memory_frames() is None
    with pytest.raises(ConfigError, match='has no motion head; it has occupancy'):
        loaded.model.heads.known({'motion'})
    with pytest.raises(ConfigError, match='has no trajectories head'):
        loaded.model.forecast(torch.zeros(1), torch.zeros(1), torch.zeros(1))

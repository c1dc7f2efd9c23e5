"""The CUDA source compiles for every GPU in use, with wide loads, no atomics and no headers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from setuptools import find_packages
from support.nvrtc import Nvrtc, find_nvrtc

import bev_perception.ops.bev_pool
from bev_perception.ops.bev_pool import cuda_kernel, cuda_plan
from bev_perception.ops.bev_pool.cuda_kernel import KERNELS, OPTIONS, SCALARS, kernel_name

REPO = Path(__file__).resolve().parents[2]
# Turing, Orin, Hopper, Blackwell.
GENERATIONS = (75, 87, 90, 100)


def all_instances() -> list[str]:
    """Returns the name expression of every instance that a launch can ask for."""
    return [
        kernel_name(kernel, dtype, pack)
        for kernel in KERNELS
        for dtype in SCALARS
        for pack in (1, 2, 4, 8)
        if pack * torch.empty(0, dtype=dtype).element_size() <= cuda_plan.PACK_BYTES
    ]


def bodies(ptx: str) -> dict[str, str]:
    """Returns the body of every kernel by its mangled name."""
    parts = re.split(r'^\.(?:visible|weak) \.entry (\w+)\(', ptx, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def check_ptx(ptx: str) -> None:
    found = bodies(ptx)
    assert len(found) == len(all_instances()) == 22
    assert not re.search(r'\b(atom|red)\.', ptx)
    for name, body in found.items():
        match = re.search(r'Li(\d)E', name)
        assert match
        pack = int(match.group(1))
        scalar_bytes = 4 if re.search(r'If', name) else 2
        widest = max(
            int(count or 1) * int(bits) // 8
            for count, bits in re.findall(r'ld\.global\.nc\.(?:v(\d)\.)?[a-z](\d+)', body)
        )
        # Indices are of four bytes, one by one.
        assert widest == max(pack * scalar_bytes, 4), name
        assert '.local' not in body, name


@pytest.mark.parametrize('generation', GENERATIONS)
def test_nvcc_compiles_every_instance(tmp_path: Path, generation: int) -> None:
    nvcc = shutil.which('nvcc')
    if nvcc is None:
        pytest.skip('no nvcc')
    target = f'compute_{generation}'
    known = subprocess.run([nvcc, '--list-gpu-arch'], capture_output=True, text=True, check=True)
    if target not in known.stdout.split():
        pytest.skip(f'this nvcc does not know {target}')
    uses = ',\n'.join(f'(const void*){name}' for name in all_instances())
    source, output = tmp_path / 'all.cu', tmp_path / 'all.ptx'
    source.write_text(f'{cuda_kernel.kernel_source()}\nconst void* instances[] = {{{uses}}};\n')
    strict = ('-Werror', 'all-warnings')
    command = (nvcc, *OPTIONS, *strict, f'-arch={target}', '-ptx', source, '-o', output)
    subprocess.run(command, check=True)
    check_ptx(output.read_text())


@pytest.mark.parametrize('generation', GENERATIONS)
def test_nvrtc_compiles_every_instance(generation: int) -> None:
    library = find_nvrtc()
    if library is None:
        pytest.skip('no NVRTC')
    # The last one is added by CuPy.
    options = (*OPTIONS, f'-arch=compute_{generation}', '--device-as-default-execution-space')
    ptx, lowered = Nvrtc(library).ptx(cuda_kernel.kernel_source(), all_instances(), options)
    assert set(lowered.values()) == set(bodies(ptx))
    check_ptx(ptx)


def test_constants_are_those_of_the_plan() -> None:
    source = cuda_kernel.kernel_source()
    for name in ('WARP', 'WARPS'):
        match = re.search(rf'^constexpr int {name} = (\d+);', source, re.MULTILINE)
        assert match and int(match.group(1)) == getattr(cuda_plan, name)
    assert cuda_kernel.THREADS <= 1024


def test_source_includes_nothing() -> None:
    assert '#include' not in cuda_kernel.kernel_source()


def test_source_is_installed_with_the_package() -> None:
    package = Path(bev_perception.ops.bev_pool.__file__).parent
    assert (package / 'bev_pool.cu').is_file()
    name = 'bev_perception.ops.bev_pool'
    assert name in find_packages(str(REPO), include=['bev_perception*'])
    setup = (REPO / 'setup.py').read_text()
    assert "'bev_perception.ops.bev_pool': ['*.cu']" in setup
    # colcon installs whole folders of the package.
    assert 'install(DIRECTORY bev_perception/' in (REPO / 'CMakeLists.txt').read_text()

"""Notebooks: each opens in Colab, installs what it needs, is committed bare, and runs from top to bottom."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from processes import LIMIT

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BADGE = re.compile(
    r"\[!\[Open in Colab\]\(https://colab\.research\.google\.com/assets/colab-badge\.svg\)\]"
    r"\(https://colab\.research\.google\.com/github/([\w-]+/[\w-]+)/blob/main/(\S+)\)"
)
# What the parameters of each become here, and how many pictures and films it shows.
SMALL = {
    "01_hand_and_grasps": (dict(WANTED=5, TRIED=(16, 8, 16), WIDTH=48, HEIGHT=44, VIEWS=2), 7),
    "02_expert_at_work": (dict(OBJECTS="cube_55", FILM_SECONDS=1, ENVIRONMENTS=8, SECONDS=12), 4),
    "03_guided_sampler": (dict(SAMPLES=4, STEP_COUNTS=(1, 2), STRENGTHS=(0.0, 1.0), SWEEP=2), 5),
    "04_help_measured": (
        dict(OBJECTS="cube_55", ENVIRONMENTS=4, SECONDS=3, OPERATORS=("noisy 1.5",), FILM_SECONDS=0.5),
        3,
    ),
    "05_your_own_loop": (dict(TICKS=3, REAL_TIME_TICKS=3), 1),
}
every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@every
def test_a_notebook_is_committed_without_outputs_and_is_short(path):
    cells = code(nbformat.read(path, as_version=4))
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    assert len(cells) <= 12


@every
def test_the_badge_opens_this_notebook_and_the_first_cell_installs_from_the_same_repository(path):
    notebook = nbformat.read(path, as_version=4)
    ((repository, where),) = BADGE.findall(notebook.cells[0].source)
    assert where == path.relative_to(ROOT).as_posix()
    install = code(notebook)[0].source
    assert f'%pip install -q "dexgen_jax[deploy] @ git+https://github.com/{repository}"' in install
    assert install == code(nbformat.read(NOTEBOOKS[0], as_version=4))[0].source


@every
def test_parameters_stand_in_the_second_cell(path):
    tagged = [i for i, cell in enumerate(code(nbformat.read(path, as_version=4))) if "parameters" in tags(cell)]
    assert tagged == [1]
    assigned = ast.walk(ast.parse(code(nbformat.read(path, as_version=4))[1].source))
    names = {node.id for node in assigned if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert set(SMALL[path.stem][0]) <= names


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


@every
def test_the_readme_leads_to_it(path):
    assert f"]({path.relative_to(ROOT).as_posix()})" in (ROOT / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_it_runs_from_top_to_bottom(name, monkeypatch):
    """In a kernel of its own, with small parameters in a cell after those that it comes with."""
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    path, (parameters, pictures) = ROOT / "notebooks" / f"{name}.ipynb", SMALL[name]
    notebook = nbformat.read(path, as_version=4)
    place = next(i for i, cell in enumerate(notebook.cells) if "parameters" in tags(cell))
    smaller = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(smaller))
    done = NotebookClient(notebook, timeout=LIMIT, resources={"metadata": {"path": str(path.parent)}}).execute()
    shown = [output.get("data", {}) for cell in code(done) for output in cell.outputs]
    assert sum(map(is_picture, shown)) == pictures


def is_picture(data: dict) -> bool:
    return "image/png" in data or re.search("<(video|svg|img)", data.get("text/html", "")) is not None

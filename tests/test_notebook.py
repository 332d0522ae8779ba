from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbclient import NotebookClient
from processes import LIMIT

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "guided_sampler.ipynb"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setenv("DEXGEN_SMOKE", "1")


def test_the_guided_sampler_runs_in_a_kernel_from_top_to_bottom(monkeypatch):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    done = NotebookClient(notebook, timeout=LIMIT, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    pictures = [
        output for cell in done.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 4


def test_without_a_controller_it_trains_one(monkeypatch, tmp_path):
    """Cell by cell in this process: that a kernel runs them is tested above."""
    plt.switch_backend("Agg")
    monkeypatch.setenv("DEXGEN_CONTROLLER", str(tmp_path / "nowhere"))
    shown, known = [], {}
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, NOTEBOOK.name, "exec"), known)
    assert len({figure.number for figure in shown}) == 4 and known["model"].width == 16
    plt.close("all")


def test_the_notebook_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)

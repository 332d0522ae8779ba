from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "guided_sampler.ipynb"


@pytest.mark.parametrize("controller", ["the one that is shipped", "none"])
def test_the_guided_sampler_runs_from_top_to_bottom(controller, monkeypatch, tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    monkeypatch.setenv("DEXGEN_SMOKE", "1")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    if controller == "none":
        monkeypatch.setenv("DEXGEN_CONTROLLER", str(tmp_path / "nowhere"))
    done = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    pictures = [
        output for cell in done.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 4


def test_the_notebook_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)

"""The notebook runs from a clean kernel, and is kept without outputs."""

from __future__ import annotations

import nbformat
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOK = ROOT / "notebooks" / "walkthrough.ipynb"


def test_notebook_runs_and_its_recount_agrees():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    code = {cell.source: cell for cell in notebook.cells if cell.cell_type == "code"}
    audit = next(cell for source, cell in code.items() if "audit_plan" in source)
    assert audit.outputs[0]["data"]["text/plain"] == "()"


def test_notebook_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not [
        cell for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)
    ]

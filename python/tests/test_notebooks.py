"""Our notebooks run from the first cell to the last, in a fresh process, and within their time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples" / "notebooks").glob("*.ipynb"))

# Without nbclient: the code cells one after the other, each ending in a value that notebooks show.
PLAIN = """
import ast, json, sys
space = {}
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        body = ast.parse("".join(cell["source"])).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), "cell", "exec"), space)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), space)
            for show in ("_repr_html_", "_repr_svg_"):
                if hasattr(value, show):
                    getattr(value, show)()
"""


def test_there_are_five():
    assert [path.stem for path in NOTEBOOKS] == ["ensembles", "porting", "sequential", "summaries", "toy"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, tmp_path):
    content = json.loads(path.read_text())
    assert all(not cell.get("outputs") for cell in content["cells"]), "outputs are not kept in the repository"
    try:
        import nbclient
        import nbformat
    except ImportError:
        subprocess.run([sys.executable, "-c", PLAIN, str(path)], check=True, cwd=tmp_path, timeout=180)
        return
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in shown if output.output_type == "error"]
    # Every notebook has a picture.
    assert any("<svg" in str(output.get("data", {})) or "image/png" in output.get("data", {}) for output in shown)

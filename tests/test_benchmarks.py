"""Every benchmark runs without an argument: what it needs, it has or says how to get."""

import ast
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_no_argument_is_required(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    arguments = [call for call in calls if getattr(call.func, "attr", "") == "add_argument"]
    for call in arguments:
        options = {option.arg: ast.literal_eval(option.value) for option in call.keywords if option.arg == "required"}
        optional = ast.literal_eval(call.args[0]).startswith("-") or any(o.arg == "nargs" for o in call.keywords)
        assert optional and not options.get("required"), ast.unparse(call)

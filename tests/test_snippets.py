"""Every snippet of the README and the docs runs as it stands, and every command names settings that exist.

The snippets of docs/deploy.md need a robot, a server and exported files: tests/deploy/test_docs.py runs those.
"""

import command_line
import pytest
from snippets import PAGES, ROOT, commands, python_blocks

from dexgen_jax.controller import commands as kinds_of_command
from dexgen_jax.envs import registry
from dexgen_jax.evaluation import operators

SNIPPETS = [
    (page.relative_to(ROOT).as_posix(), number)
    for page in PAGES
    for number in range(len(python_blocks(page)))
    if page.name != "deploy.md"
]
COMMANDS = [(page.relative_to(ROOT).as_posix(), command) for page in PAGES for command in commands(page)]


@pytest.fixture
def tables():
    """What a reader adds to the tables of names is gone again afterwards."""
    before = [(table, dict(table)) for table in (registry.TASKS, operators.KINDS, kinds_of_command.KINDS)]
    yield
    for table, names in before:
        table.clear()
        table.update(names)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("page, number", SNIPPETS)
def test_snippets_run_as_they_stand(page, number):
    exec(compile(python_blocks(ROOT / page)[number], f"{page}, snippet {number}", "exec"), {})


@pytest.mark.parametrize("page, command", COMMANDS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_commands_name_a_script_and_settings_that_exist(page, command):
    """`...` stands for a value of the reader's."""
    script = ROOT / command[0]
    assert script.is_file()
    argument, _ = command_line.split_config_argument(command, "")
    if argument:
        assert (ROOT / argument.partition(":")[0]).is_file()
    words = [word.replace("--config=", f"--config={ROOT}/") for word in command if not word.endswith("=...")]
    command_line.read(words, script.parent / "configs" / script.name)


def test_what_is_shown_is_found():
    assert len(SNIPPETS) >= 2 and len(COMMANDS) >= 20

"""What a Markdown page shows as code: its Python blocks and its commands, as they stand."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("dexgen_jax/pretrained/*/README.md")])


def python_blocks(page: Path) -> list[str]:
    """The blocks that open with ```python, in their order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The words of each command that runs a script of experiments/, in blocks and in the text between backticks."""
    text = page.read_text().replace("\\\n", " ")
    found = re.findall(r"^(?:```\w*\n)?(python experiments/.*)$|`(python experiments/[^`]*)`", text, re.MULTILINE)
    return [shlex.split(block or inline, comments=True)[1:] for block, inline in found]

"""Pages say what is there: links lead somewhere, quoted code is the code, explained messages exist."""

import ast
import re
from pathlib import Path

import pytest
from snippets import PAGES, ROOT, python_blocks

CONTRIBUTING, TROUBLESHOOTING = ROOT / "CONTRIBUTING.md", ROOT / "docs" / "troubleshooting.md"
CODE = [path for room in ("dexgen_jax", "experiments", "tests") for path in sorted((ROOT / room).rglob("*.py"))]
ALL = [*PAGES, CONTRIBUTING, ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_exist(page):
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    reference = [link for link in links if link.startswith("reference/")]  # made when the site is
    lost = [link for link in links if link not in reference and not (page.parent / link.partition("#")[0]).exists()]
    assert lost == []


def test_what_the_contributing_page_quotes_is_the_code_as_it_stands():
    code = "\n".join(path.read_text() for path in CODE)
    blocks = python_blocks(CONTRIBUTING)
    assert len(blocks) == 4
    assert [block for block in blocks if block not in code] == []


def template(node: ast.AST) -> str:
    """The text of a string or an f-string, `...` in place of what is filled in."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in parts)


def templates(path: Path) -> list[str]:
    """Every string in a file that somebody could be shown."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [template(node) for node in nodes if isinstance(node, ast.JoinedStr | ast.Constant)]


def shows(message: str, text: str) -> bool:
    """Whether the words of `message` stand in `text`, in their order."""
    at = 0
    for part in message.split("..."):
        if (found := text.find(part, at)) < 0:
            return False
        at = found + len(part)
    return True


def test_the_messages_that_are_explained_are_those_of_the_code():
    known = [text for path in CODE if "tests" not in path.parts for text in templates(path)]
    known.append((ROOT / "Makefile").read_text())
    explained = re.findall(r"^\| `(.+?)` \|", TROUBLESHOOTING.read_text(), re.MULTILINE)
    assert len(explained) > 30
    assert [message for message in explained if not any(shows(message, text) for text in known)] == []
    assert shows("a ... of ...", "a b of c") and not shows("a ... of d", "a b of c")


def test_every_page_and_card_stands_in_the_sites_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").glob("*.md")]
    cards = [f"project/{card.relative_to(ROOT).as_posix()}" for card in ROOT.glob("dexgen_jax/pretrained/*/README.md")]
    assert [page for page in (*pages, *cards) if f": {page}" not in navigation and f"- {page}" not in navigation] == []

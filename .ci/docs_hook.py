"""What MkDocs is told of the repository around docs/: pages that lie elsewhere, links to them, the API reference.

A page links to files as they lie in the repository, so that its links work on GitHub. In the site a Markdown file
outside docs/ is a page of its own below project/, a module is its place in the reference, and any other link that
leaves docs/ fails the build.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ROOMS = "hand objects physics grasps envs experts dataset controller viz evaluation deploy".split()
PACKAGE = ROOT / "dexgen_jax"
LEAVES = [PACKAGE / name for name in ("defaults.py", "pretrained/__init__.py", "run_log.py", "checkpoints.py")]
PATTERNS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "dexgen_jax/pretrained/*/*", "notebooks/*.ipynb")
# Pages, pictures and notebooks outside docs/: path in the repository -> address in the site.
OUTSIDE = {
    path.relative_to(ROOT).as_posix(): f"project/{path.relative_to(ROOT).as_posix()}"
    for pattern in PATTERNS
    for path in sorted(ROOT.glob(pattern))
    if path.suffix in (".md", ".png", ".ipynb")
}
LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what lies outside docs/, and a page of the reference for each room."""
    for source, address in OUTSIDE.items():
        files.append(File.generated(config, address, content=(ROOT / source).read_bytes()))
    rooms = {room: sorted((PACKAGE / room).glob("[!_]*.py")) for room in ROOMS} | {"leaves": LEAVES}
    for room, paths in rooms.items():
        page = "\n\n".join([f"# {room}", *(f"::: {_module(path)}" for path in paths)])
        files.append(File.generated(config, f"reference/{room}.md", content=page + "\n"))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files of the repository into links to pages of the site."""
    uri = page.file.src_uri
    here = posixpath.dirname({address: source for source, address in OUTSIDE.items()}.get(uri, f"docs/{uri}"))

    def lead(match: re.Match[str]) -> str:
        opening, target, closing = match.groups()
        path = posixpath.normpath(posixpath.join(here, target))
        place = _place(path)
        if place is None:
            return match[0]
        if path.endswith(".py"):
            closing = f"#{_module(ROOT / path)})"
        return f"{opening}{posixpath.relpath(place, posixpath.dirname(uri))}{closing}"

    return LINK.sub(lead, markdown)


def _place(path: str) -> str | None:
    """Where a file of the repository is in the site; nothing if it is not there."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("dexgen_jax/") and path.endswith(".py") and (ROOT / path).is_file():
        room = path.split("/")[1]
        return f"reference/{room if room in ROOMS else 'leaves'}.md"
    return OUTSIDE.get(path)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

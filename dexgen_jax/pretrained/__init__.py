"""What comes with the package, and the one way to name a trained or grown thing.

An artefact of a kind (expert, controller, grasps, dataset) is named by one word wherever a setting or an argument asks
for one: `run` is what the run folder has made itself, `shipped` what comes with the package, `shipped:NAME` another of
that, and anything else is a folder.
"""

import difflib
from pathlib import Path

ROOT = Path(__file__).parent
# Kind -> the name that `shipped` alone stands for, of the hand that came first; of another hand its own name stands
# before that. The folder here is NAME_KIND, or KIND where there is no name; in a run folder it is KIND.
FIRST_HAND = "allegro"
KINDS = {"expert": "anygrasp", "controller": "", "grasps": "", "dataset": ""}


def path(kind: str, name: str = "") -> Path:
    """The folder of what is shipped, e.g. `path("expert", "fine_rotation")`; without a name the kind's first choice.

    Raises FileNotFoundError that says what there is.
    """
    _require_kind(kind)
    name = name or KINDS[kind]
    if name not in (known := names(kind)):
        listed = ", ".join(one or "the nameless one" for one in known)
        there_are = f"there are: {listed}" if known else f"no {kind} comes with the package"
        raise FileNotFoundError(f"no shipped {kind} named {name!r}; {there_are}")
    return ROOT / (f"{name}_{kind}" if name else kind)


def names(kind: str) -> list[str]:
    """The names of what is shipped of a kind; one that needs no name is ''."""
    return sorted(folder.name.removesuffix(kind).removesuffix("_") for folder in ROOT.glob(f"*{kind}"))


def first_choice(kind: str, hand: str) -> str:
    """The name that `shipped` alone stands for; a left hand takes what is its right one's, and reflects it."""
    hand = hand.removesuffix("_left")
    return "_".join(filter(None, ("" if hand == FIRST_HAND else hand, KINDS[kind])))


def find(kind: str, which: str | Path, run_dir: str | Path | None = None, hand: str = FIRST_HAND) -> Path:
    """The folder that `which` names: `run`, `shipped`, `shipped:NAME` or a folder, see the top of this file.

    `run_dir` is the run folder, where there is one; of several hands' the shipped one is that of `hand`.
    """
    _require_kind(kind)
    word, _, name = str(which).partition(":")
    if word == "shipped":
        if not name and first_choice(kind, hand) not in names(kind):
            raise FileNotFoundError(
                f"the package brings no {kind} of the hand {hand!r}: make one and name its folder (of a script, "
                f"--config.{kind}=FOLDER, or run for that of the run folder)"
            )
        return path(kind, name or first_choice(kind, hand))
    if which == "run" and run_dir is not None:
        return Path(run_dir) / kind
    choices = f"'shipped', 'shipped:NAME' or a folder{'' if run_dir is None else ', or run for that of the run folder'}"
    if which in ("", "run"):
        raise ValueError(f"{str(which)!r} names no {kind}: say {choices}")
    folder = Path(which)
    if not folder.exists() and difflib.get_close_matches(word, ("run", "shipped")):
        raise FileNotFoundError(f"no folder {str(which)!r} for the {kind}: say {choices}")
    return folder


def _require_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; there are: {', '.join(KINDS)}")

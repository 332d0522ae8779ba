"""One HTML page that shows a grown grasp library: pictures of grasps, what touches, and where the objects are held."""

import base64
import dataclasses
import html
import io

import matplotlib.figure
import mujoco
import numpy as np
from PIL import Image

from dexgen_jax.viz import raycast

_COLOURS = ("#3b82f6", "#f97316", "#10a37f")
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem;color:#20262e}
img{max-width:100%;border-radius:6px} table{border-collapse:collapse;font-size:13px;margin:1rem 0}
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd} td:first-child,th:first-child{text-align:left}
h2{margin:2.2rem 0 .3rem} p{margin:.3rem 0;color:#5b6470}"""


@dataclasses.dataclass(frozen=True)
class Section:
    """What the page shows of one object."""

    name: str
    model: mujoco.MjModel  # hand and object
    qpos: np.ndarray  # (N, n + 7) joints [rad], object position [m] and quaternion
    touches: np.ndarray  # (N, capsules) bool
    source: np.ndarray  # (N,) which of the makers
    numbers: dict[str, str]  # column -> what stands in the table of all objects
    note: str  # a line under the name


def page(sections: list[Section], makers: tuple[str, ...], capsule_names: list[str], pictures: int) -> str:
    """Returns the page, whole without a network: `pictures` grasps of each object, evenly spaced over its library."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in ("object", *sections[0].numbers))
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in (section.name, *section.numbers.values()))
        + "</tr>"
        for section in sections
    )
    body = [f"<h1>Grasps of {len(sections)} objects</h1><table><tr>{head}</tr>{rows}</table>"]
    for section in sections:
        body.append(f"<h2>{html.escape(section.name)}</h2><p>{html.escape(section.note)}</p>")
        body.append(_image(_strip(section, pictures), "JPEG", f"grasps of {section.name}"))
        body.append(_image(_charts(section, makers, capsule_names), "PNG", f"contacts and coverage of {section.name}"))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Grasps</title><style>{_STYLE}</style>"
        f"<body>{''.join(body)}</body></html>"
    )


def capsule_names(model: mujoco.MjModel) -> list[str]:
    """Names of the hand's collision shapes in the order of `Chain.capsule_body`; the object's are left out."""
    free = model.jnt_bodyid[model.jnt_type == mujoco.mjtJoint.mjJNT_FREE]
    collides = (model.geom_contype | model.geom_conaffinity) > 0
    return [model.geom(i).name for i in np.flatnonzero(collides & ~np.isin(model.geom_bodyid, free))]


def _strip(section: Section, pictures: int) -> np.ndarray:
    shown = np.linspace(0, len(section.qpos) - 1, pictures).astype(int)
    return np.concatenate(raycast.render(section.model, section.qpos[shown], 210, 190, supersample=2), axis=1)


def _charts(section: Section, makers: tuple[str, ...], names: list[str]) -> np.ndarray:
    figure = matplotlib.figure.Figure(figsize=(10.6, 2.7), dpi=100, layout="constrained")
    parts, number, front, turn = figure.subplots(1, 4, width_ratios=(2.2, 1, 1.2, 1.4))
    parts.bar(range(len(names)), section.touches.mean(0), color=_COLOURS[0])
    parts.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    parts.set_title("share of grasps it touches in", fontsize=9)
    number.hist(section.touches.sum(1), bins=np.arange(1, 14) - 0.5, color=_COLOURS[0])
    number.set_title("shapes that touch", fontsize=9)
    axis = _third_axis(section.qpos[:, -4:])
    for i, maker in enumerate(makers):
        of = section.source == i
        look = {"s": 3, "color": _COLOURS[i % len(_COLOURS)], "alpha": 0.5, "lw": 0, "label": maker}
        front.scatter(100 * section.qpos[of, -6], 100 * section.qpos[of, -5], **look)
        turn.scatter(np.degrees(np.arctan2(axis[of, 1], axis[of, 0])), axis[of, 2], **look)
    front.set_title("object's y, z in the palm [cm]", fontsize=9)
    front.set_aspect("equal", "datalim")
    turn.set_title("where its z axis points [°, sine]", fontsize=9)
    turn.legend(fontsize=7, markerscale=3, loc="upper right")
    for axes in figure.axes:
        axes.tick_params(labelsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def _third_axis(quat: np.ndarray) -> np.ndarray:
    """The z axis (N, 3) of frames turned by quaternions (N, 4) w x y z."""
    w, x, y, z = quat.T
    return np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1)


def _image(pixels: np.ndarray, kind: str, alt: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"quality": 82} if kind == "JPEG" else {}))
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/{kind.lower()};base64,{data}">'

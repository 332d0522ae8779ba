"""What a browser sees of a session: the hand and its object in a room, with light, a floor and handles to drag.

Steps come ten times a second; pictures are drawn in between, so that motion is smooth. What is on the screen is
therefore up to one step old.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from dexgen_jax.hand.description import Hand
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.viz import meshes
from dexgen_jax.viz import wrist as wrists
from dexgen_jax.viz.meshes import Mesh
from dexgen_jax.viz.moment import Moment

UNIT = 10.0  # scene units per metre: the browser's light and camera are made for things of about that size
FLOOR = -0.22  # m, height of the floor under the palm's origin
_REST = 0.025  # m, height of an object's centre above the floor on which it lies
_EYE, _LOOK_AT, _FIELD = (0.47, -0.36, 0.27), (0.035, 0.01, -0.005), 0.50  # m, m, rad
_FRAME = "/hand"
_LINK, _TIP, _PALM, _SLEEVE = (176, 184, 194), (56, 189, 200), (92, 101, 114), (58, 64, 74)
_OBJECT, _OBJECT_DARK, _GOAL = (250, 152, 66), (214, 96, 28), (52, 180, 98)


@dataclasses.dataclass(frozen=True)
class View:
    """One picture: joints (n,) [rad], object and goal (7,) [m, w x y z, palm frame], wrist (4,) palm to room."""

    q: np.ndarray
    object_pose: np.ndarray
    goal_pose: np.ndarray
    wrist: np.ndarray

    def toward(self, other: "View", share: float) -> "View":
        """The picture between this one and `other`: `share` 0 is this one, 1 the other."""
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in dataclasses.fields(self)]
        q, thing, goal, wrist = ((1 - share) * a + share * b for a, b in pairs)
        for mixed, (a, b) in ((thing, pairs[1]), (goal, pairs[2])):
            mixed[3:] = _turn_between(a[3:], b[3:], share)
        return View(q, thing, goal, _turn_between(*pairs[3], share))


class Stage:
    """The scene of a viser server. `advance` at each step, `draw` as often as pictures are wanted."""

    def __init__(self, server: Any, hand: Hand, shape: Callable[[str], ObjectParams]):
        """`shape` gives the parts of an object by its name."""
        self.scene, self.hand, self._shape = server.scene, hand, shape
        self._light(server)
        chain = hand.chain
        self._root = self.scene.add_frame(_FRAME, show_axes=False)
        self._sleeve()
        self.links = self._bodies()
        moving = [body for body in range(len(chain.parent)) if np.any(chain.axis[body])]
        self._joints = [(body, int(chain.joint[body])) for body in moving]
        self._shown: Moment | None = None
        self._parts: list[Any] = []
        self._from: View | None = None
        self._to: View | None = None

    def advance(self, moment: Moment, wrist: np.ndarray, jump: bool) -> None:
        """What was seen in the last step, and in this one; they are not joined by motion if it is a `jump`."""
        goal = moment.object_pose if moment.goal_pose is None else moment.goal_pose
        now = View(moment.q, moment.object_pose, goal, wrist)
        self._from, self._to = (now if jump or self._to is None else self._to), now
        shown, self._shown = self._shown, moment
        same = shown is not None and (shown.thing, shown.scale) == (moment.thing, moment.scale)
        if not same or shown.shape is not moment.shape:
            self._put(self._shape(moment.thing) if moment.shape is None else moment.shape, moment.scale)
        self._parts[1].visible = moment.goal_pose is not None

    def draw(self, share: float) -> None:
        """Shows the picture between the last two steps, `share` from 0 to 1."""
        if self._to is None:
            return
        view = self._from.toward(self._to, share)
        self._root.wxyz = view.wrist
        for body, joint in self._joints:
            self.links[body].wxyz = self._local_turn(body, view.q[joint])
        thing, goal = self._parts
        thing.position, thing.wxyz = UNIT * above_floor(view.object_pose[:3], view.wrist), view.object_pose[3:]
        goal.position, goal.wxyz = UNIT * view.goal_pose[:3], view.goal_pose[3:]

    @staticmethod
    def frame(camera: Any) -> None:
        """Moves a client's camera from where all begin, if its page is high and narrow: the hand is then seen whole, in
        the part of the page that the panel leaves free."""
        eye, look_at = UNIT * np.array(_EYE), UNIT * np.array(_LOOK_AT)
        shape = camera.image_height / max(camera.image_width, 1)
        if shape > 1 and np.allclose([camera.position, camera.look_at], [eye, look_at], atol=1e-3):
            away = min(0.85 * shape, 2.0) * (eye - look_at)
            down = np.array([0.0, 0.0, 0.5 * np.tan(_FIELD / 2) * np.linalg.norm(away)])
            camera.position, camera.look_at = look_at + away - down, look_at - down

    def _light(self, server: Any) -> None:
        camera = server.initial_camera
        camera.position, camera.look_at, camera.fov = UNIT * np.array(_EYE), UNIT * np.array(_LOOK_AT), _FIELD
        self.scene.set_up_direction("+z")
        self.scene.configure_default_lights(enabled=False)
        self.scene.configure_environment_map("studio", environment_intensity=0.40)
        self.scene.add_light_directional(
            "/light/key", color=(255, 246, 232), intensity=2.0, cast_shadow=True, position=(3.0, -2.5, 8.0)
        )
        self.scene.add_light_directional("/light/rim", color=(214, 230, 255), intensity=0.6, position=(-6.0, 5.0, 3.0))
        self.scene.add_grid(
            "/floor", infinite_grid=True, cell_size=0.5, cell_color=(222, 226, 232), section_size=2.5,
            section_color=(203, 209, 218), cell_thickness=0.8, section_thickness=1.0, fade_distance=30.0,
            fade_strength=1.5, shadow_opacity=0.22, position=(0.0, 0.0, UNIT * FLOOR),
        )  # fmt: skip

    def _sleeve(self) -> None:
        """A forearm, for the eye alone: it touches nothing."""
        arm = meshes.cylinder(0.030, 0.055).placed(np.array([-0.011, 0.0, -0.150]), np.array([1.0, 0, 0, 0]))
        cuff = meshes.cylinder(0.034, 0.008).placed(np.array([-0.011, 0.0, -0.098]), np.array([1.0, 0, 0, 0]))
        self._add(f"{_FRAME}/sleeve", arm, _SLEEVE)
        self._add(f"{_FRAME}/cuff", cuff, _PALM)

    def _bodies(self) -> list[Any]:
        """A node for each body of the hand, under that of its parent: what turns a joint turns all that follows."""
        chain, nodes, names = self.hand.chain, [], []
        leaves = set(range(len(chain.parent))) - set(chain.parent.tolist())
        for body, mesh in enumerate(meshes.hand_bodies(self.hand)):
            names.append(f"{_FRAME}/palm" if body == 0 else f"{names[chain.parent[body]]}/{body}")
            node = self.scene.add_frame(
                names[-1], show_axes=False, position=UNIT * chain.position[body], wxyz=chain.quat[body]
            )
            if mesh is not None:
                colour = _PALM if body == 0 else _TIP if body in leaves else _LINK
                self._add(f"{names[-1]}/shape", mesh, colour)
            nodes.append(node)
        return nodes

    def _local_turn(self, body: int, angle: float) -> np.ndarray:
        """The quaternion (4,) of a body in its parent, its joint at `angle` [rad]."""
        return wrists.turned(self.hand.chain.quat[body], angle * self.hand.chain.axis[body])

    def _put(self, shape: ObjectParams, scale: float) -> None:
        """Replaces the object and the ghost that shows its goal."""
        for part in self._parts:
            part.remove()
        names = f"{_FRAME}/object", f"{_FRAME}/goal"
        self._parts = [self.scene.add_frame(name, show_axes=False) for name in names]
        light, dark = meshes.object_parts(shape)
        for suffix, mesh, colour in (("light", light, _OBJECT), ("dark", dark, _OBJECT_DARK)):
            self._add(f"{names[0]}/{suffix}", mesh, colour, scale=scale)
        ghost = meshes.join([light, dark])
        self._add(f"{names[1]}/ghost", ghost, _GOAL, scale=scale, opacity=0.24, cast_shadow=False, receive_shadow=False)

    def _add(self, name: str, mesh: Mesh, colour: tuple[int, int, int], **how: Any) -> Any:
        return self.scene.add_mesh_simple(name, UNIT * mesh.vertices, mesh.faces, color=colour, **how)


def above_floor(position: np.ndarray, wrist: np.ndarray) -> np.ndarray:
    """Where an object's centre (3,) [m, palm frame] is seen: the simulation has no floor, and a lost object lies on it.

    `wrist` (4,) turns the palm into the room.
    """
    there = wrists.rotate(wrist, position)
    there[2] = max(there[2], FLOOR + _REST)
    return wrists.rotate(wrists.conjugate(wrist), there)


def _turn_between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """The rotation (4,) between two that are near each other."""
    mixed = (1 - share) * a + share * (b if a @ b >= 0 else -b)
    return mixed / np.linalg.norm(mixed)

"""What is read of a maker's MuJoCo model to make a hand of it: the part below the palm, and what of it is refused.

A hand that tendons, coupled joints or closed linkages move is refused by the name of the joint: here every joint has a
servo of its own.
"""

from collections.abc import Mapping

import mujoco
import numpy as np

from dexgen_jax.hand import capsules, hulls


class Source:
    """What is read of the maker's model: the part of it below the palm. Bodies and joints by their numbers there."""

    def __init__(self, name: str, model: mujoco.MjModel, palm: int):
        self.name, self.model, self.palm = name, model, palm
        below = {palm}
        for body in range(palm + 1, model.nbody):  # parents come first
            if model.body_parentid[body] in below:
                below.add(body)
        self.bodies = sorted(below)
        self.joints = [j for j in range(model.njnt) if model.jnt_bodyid[j] in below - {palm}]
        self.joint_of = {int(model.jnt_bodyid[joint]): joint for joint in self.joints}
        if any(model.body(body).name == "palm" for body in below - {palm}):
            raise ValueError(
                f"hand {name!r}: a body below {model.body(palm).name!r} is called 'palm', and so is that one itself "
                "here: give the body another name in the file"
            )
        for joint in self.joints:
            self._refuse_kind(joint)

    def label(self, body: int) -> str:
        """The name of a body here: the palm is called so."""
        return "palm" if body == self.palm else self.model.body(body).name or f"body_{body}"

    def joint_name(self, joint: int) -> str:
        return self.model.joint(joint).name or f"number {joint}"

    def shift(self, body: int) -> np.ndarray:
        """Where a body's frame here begins in its frame there (3,) [m]: on the axis of its joint."""
        return self.model.jnt_pos[self.joint_of[body]] if body in self.joint_of else np.zeros(3)

    def refuse(self, joint: int, fault: str) -> None:
        raise ValueError(f"hand {self.name!r}: joint {self.joint_name(joint)!r} {fault}")

    def _refuse_kind(self, joint: int) -> None:
        model = self.model
        if not model.joint(joint).name:
            self.refuse(joint, "has no name: give it one")
        if model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_HINGE:
            self.refuse(joint, "is no hinge: only hinges can be taken")
        if not model.jnt_limited[joint]:
            self.refuse(joint, "has no limits: give it a range")
        if self.joint_of[int(model.jnt_bodyid[joint])] != joint:
            self.refuse(joint, "shares its body with another joint: give each a body of its own")

    def refuse_couplings(self) -> None:
        """Refuses joints that do not move by themselves: tendons, coupled joints, closed linkages."""
        model = self.model
        for tendon in range(model.ntendon):
            for joint in self._pulled(tendon)[:1]:
                self.refuse(joint, f"is moved by tendon {model.tendon(tendon).name!r}: tendons cannot be taken")
        for row in range(model.neq):
            kind, first, second = (int(of[row]) for of in (model.eq_type, model.eq_obj1id, model.eq_obj2id))
            if kind == mujoco.mjtEq.mjEQ_JOINT and first in self.joints:
                to = f"to joint {self.joint_name(second)!r}" if second >= 0 else "to a value"
                self.refuse(first, f"is coupled {to} by an equality: joints that move together cannot be taken")
            if kind in (mujoco.mjtEq.mjEQ_CONNECT, mujoco.mjtEq.mjEQ_WELD):
                if model.eq_objtype[row] == mujoco.mjtObj.mjOBJ_SITE:
                    first, second = (int(model.site_bodyid[site]) for site in (first, second))
                for joint in [*self._chain(first), *self._chain(second)][:1]:
                    self.refuse(joint, "is in a closed linkage (an equality of bodies): it cannot be taken")

    def _pulled(self, tendon: int) -> list[int]:
        """The joints of the hand that a tendon acts on, by itself or by the bodies it passes."""
        model, found = self.model, list[int]()
        first = model.tendon_adr[tendon]
        for row in range(first, first + model.tendon_num[tendon]):
            kind, at = int(model.wrap_type[row]), int(model.wrap_objid[row])
            if kind == mujoco.mjtWrap.mjWRAP_JOINT:
                found += [at] if at in self.joints else []
            elif kind == mujoco.mjtWrap.mjWRAP_SITE:
                found += self._chain(int(model.site_bodyid[at]))
            elif kind in (mujoco.mjtWrap.mjWRAP_SPHERE, mujoco.mjtWrap.mjWRAP_CYLINDER):
                found += self._chain(int(model.geom_bodyid[at]))
        return found

    def servo(self, joint: int, kp: float, kd: float, torque_limit: float) -> tuple[float, float, float]:
        """P gain, D gain and torque limit of a joint's position servo; what is given and not 0 replaces the file's."""
        model = self.model
        of_joint = (model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT) & (model.actuator_trnid[:, 0] == joint)
        rows = np.flatnonzero(of_joint)
        if len(rows) != 1:
            self.refuse(joint, f"has {len(rows)} actuators: it needs one position servo")
        gain, bias, row = model.actuator_gainprm[rows[0]], model.actuator_biasprm[rows[0]], rows[0]
        if not kp and not (gain[0] > 0 and np.isclose(bias[1], -gain[0]) and model.actuator_gear[row, 0] == 1):
            self.refuse(joint, "has an actuator that is no position servo of gear 1: make it one, or give kp and kd")
        damping = -bias[2] + model.dof_damping[model.jnt_dofadr[joint]]
        low, limit = model.actuator_forcerange[row] * bool(model.actuator_forcelimited[row])
        if not limit:
            low, limit = model.jnt_actfrcrange[joint] * bool(model.jnt_actfrclimited[joint])
        if not (torque_limit or limit):
            self.refuse(joint, "has no torque limit: give it a forcerange, or say torque_limit")
        if not (torque_limit or np.isclose(low, -limit)):
            self.refuse(
                joint,
                f"has torques from {low:g} to {limit:g} N m: give it a forcerange that is the same both ways, or say "
                "torque_limit",
            )
        return kp or float(gain[0]), kd or float(damping), torque_limit or float(limit)

    def shapes(self, body: int) -> list[capsules.Capsule]:
        """The capsules of a body, in its frame here."""
        model = self.model
        if not (geoms := self.geoms(body)):
            return []
        surface = np.concatenate([hulls.in_body(model, g, hulls.surface(hulls.corners(model, g))) for g in geoms])
        found = capsules.needed([capsule for geom in geoms for capsule in capsules.of_geom(model, geom)], surface)
        return [capsule.moved(-self.shift(body)) for capsule in found]

    def geoms(self, body: int) -> list[int]:
        """The shapes that capsules stand for: those of a body that collide, or else those that are seen."""
        model = self.model
        geoms = [g for g in range(model.ngeom) if model.geom_bodyid[g] == body and model.geom_type[g] in hulls.KINDS]
        return [geom for geom in geoms if model.geom_contype[geom] or model.geom_conaffinity[geom]] or geoms

    def tip(self, at: str, shapes: Mapping[int, list[capsules.Capsule]]) -> tuple[int, np.ndarray, float]:
        """The body of a fingertip, its middle (3,) [m] there and its radius [m]: at a site, or in a body."""
        model = self.model
        site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, at)
        where = f"hand {self.name!r}: no site or body"
        body = int(model.site_bodyid[site]) if site >= 0 else body_named(model, at, where)
        if body not in self.bodies[1:]:
            raise ValueError(
                f"hand {self.name!r}: the fingertip {at!r} is not below the palm: name one of {self._below()}, or a "
                "site there"
            )
        if not shapes[body]:
            raise ValueError(
                f"hand {self.name!r}: the fingertip {at!r} is on body {self.label(body)!r}, which has no shape: name "
                "one that has, or a site on it, or give this one a geom in the file"
            )
        place = model.site_pos[site] - self.shift(body) if site >= 0 else None
        ends = [(end, capsule.radius) for capsule in shapes[body] for end in capsule.ends]
        far = lambda end: np.linalg.norm(end) if place is None else -np.linalg.norm(end - place)
        end, radius = max(ends, key=lambda row: far(row[0]))
        return body, np.asarray(end if place is None else place), radius

    def middle(self, tip: int, named: str | None) -> int:
        """The body whose joint is a finger's middle one."""
        if named is not None:
            body = body_named(self.model, named, f"hand {self.name!r}: no body")
            if body not in self.bodies[1:]:
                raise ValueError(
                    f"hand {self.name!r}: pips names {named!r}, which is not below the palm: name one of "
                    f"{self._below()}"
                )
            return body
        chain = self._chain(tip)
        if not chain:
            raise ValueError(f"hand {self.name!r}: no joint moves the fingertip on {self.label(tip)!r}: name another")
        return int(self.model.jnt_bodyid[chain[min(1, len(chain) - 1)]])

    def _below(self) -> str:
        return ", ".join(self.label(body) for body in self.bodies[1:])

    def _chain(self, body: int) -> list[int]:
        """The joints between a body and the palm, the nearest first; none for a body that is no part of the hand."""
        chain = []
        while body in self.bodies and body != self.palm:
            chain += [self.joint_of[body]] if body in self.joint_of else []
            body = int(self.model.body_parentid[body])
        return chain


def body_named(model: mujoco.MjModel, name: str, fault: str) -> int:
    """The number of a body; a ValueError begins with `fault` and says what there is."""
    found = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name)
    if found < 0:
        known = ", ".join(filter(None, (model.body(i).name for i in range(1, model.nbody))))
        raise ValueError(f"{fault} named {name!r}; there are the bodies {known}")
    return found

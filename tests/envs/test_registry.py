"""Laws: one line builds a task with everything in it, and an unknown name is answered before anything is built."""

import numpy as np
import pytest

from dexgen_jax import envs
from dexgen_jax.grasps import library


def test_one_line_builds_hand_objects_engine_and_library():
    env = envs.load("anygrasp", objects="rod_30_150", overrides={"episode_steps": 9}, graph={"neighbours": 3})
    grasps = library.load("shipped", "rod_30_150", "allegro")
    assert (env.backend, env.config.episode_steps, env.hand.name) == ("native", 9, "allegro")
    assert env.library.neighbours.shape[1] == 3 and 0.9 * len(grasps) < len(env.library) <= len(grasps)
    assert np.asarray(env.engine.objects.kind).shape[0] == 1
    assert env.observation_size["state"] and env.action_size == 16


def test_what_is_not_known_is_answered_with_what_is(tmp_path):
    with pytest.raises(ValueError, match="no task named 'anygrsp'; did you mean anygrasp"):
        envs.load("anygrsp")
    with pytest.raises(ValueError, match="no object named 'cube_56'; nearest: cube_60, cube_55"):
        envs.load("anygrasp", objects="cube_56")
    with pytest.raises(ValueError, match="GraphConfig has no setting 'neighbors'; did you mean neighbours"):
        envs.load("anygrasp", objects="cube_55", graph={"neighbors": 3})
    with pytest.raises(ValueError, match="AnygraspConfig.hold_steps is 0: it must be at least 1"):
        envs.load("anygrasp", objects="cube_55", overrides={"hold_steps": 0})
    with pytest.raises(ValueError, match="FreeMotionConfig.action_scale is -1: it must be above 0"):
        envs.load("free_motion", objects="cube_55", overrides={"action_scale": -1})
    with pytest.raises(ValueError, match="within 0.65 rad .* graph.min_angle = 0.55 rad on: standing still"):
        envs.load("anygrasp", objects="cube_55", overrides={"angle_tolerance": 0.5})
    with pytest.raises(FileNotFoundError, match="no grasps of 'cube_55' in .*make them with"):
        envs.load("anygrasp", objects="cube_55", grasps=tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder 'shippd' for the grasps: say 'shipped'"):
        envs.load("anygrasp", objects="cube_55", grasps="shippd")

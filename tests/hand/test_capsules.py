"""Laws: a capsule is found again from its own surface, a fit is never worse, and what is left out is stood in for."""

import numpy as np
import pytest

from dexgen_jax.hand import capsules, hulls
from dexgen_jax.hand.capsules import Capsule

LONG = Capsule(np.array([[0.0, 0, 0.01], [0, 0, 0.05]]), 0.01)


def corners(half) -> np.ndarray:
    return np.array(half) * np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), axis=-1).reshape(-1, 3)


def test_distances_by_hand():
    # 3 cm beside the axis, 4 and 3 cm from its lower end, and on the axis: less the radius of 1 cm.
    points = np.array([[0.03, 0, 0.03], [0.03, 0, -0.03], [0, 0, 0.02]])
    np.testing.assert_allclose(LONG.distance(points), [0.02, 0.04, -0.01])
    ball = Capsule(np.zeros((2, 3)), 0.01)
    np.testing.assert_allclose(ball.distance(points[:1]), [0.0324264], atol=1e-7)  # sqrt(18) cm - 1 cm


def test_a_box_has_a_capsule_of_its_cross_section_and_length_by_hand():
    # Half sizes 8, 9, 20 mm: radius sqrt(8 x 9) = 8.485 mm, and the axis ends 8.485 mm before the box does.
    (one,) = capsules.of_box(np.array([0.020, 0.009, 0.008]))
    np.testing.assert_allclose(one.radius, 8.485e-3, atol=1e-6)
    np.testing.assert_allclose(one.ends, [[-11.515e-3, 0, 0], [11.515e-3, 0, 0]], atol=1e-6)
    # A plate of 10 x 30 x 50 mm is 3 / 1 as wide as thick: four capsules of radius 10 mm, at -20 to 20 mm across.
    row = capsules.of_box(np.array([0.050, 0.010, 0.030]))
    np.testing.assert_allclose([c.radius for c in row], 0.010)
    np.testing.assert_allclose([c.ends[0][2] for c in row], np.array([-20, -20 / 3, 20 / 3, 20]) * 1e-3, atol=1e-9)
    np.testing.assert_allclose([c.ends[1][0] for c in row], 0.040)
    # A sheet of 1 x 12 x 50 mm: as if it were 6 mm thick, three of them and not thirteen.
    assert [c.radius for c in capsules.of_box(np.array([0.050, 0.012, 0.001]))] == [0.006] * 3
    (cube,) = capsules.of_box(np.full(3, 0.01))
    assert np.array_equal(*cube.ends) and cube.radius == pytest.approx(0.01)


def test_a_capsule_is_found_again_from_its_own_surface():
    balls = [end + LONG.radius * hulls.directions(500) for end in LONG.ends]
    first = Capsule(np.array([[0.004, -0.003, 0.02], [0.002, 0.001, 0.04]]), 0.006)
    found = capsules.fitted(first, hulls.surface(np.concatenate(balls)))
    np.testing.assert_allclose(found.ends, LONG.ends, atol=1e-4)
    np.testing.assert_allclose(found.radius, LONG.radius, atol=1e-4)


def test_what_is_fitted_to_a_hull_is_nearer_than_the_box_about_it():
    # A fingertip: a box that narrows to an edge.
    tip = corners([0.008, 0.009, 0.02]) + np.array([0, 0, 0.02])
    tip[tip[:, 2] > 0.03, 0] *= 0.3
    surface = hulls.surface(tip)
    (first,), (found,) = capsules.of_box(np.array([0.008, 0.009, 0.02])), capsules.of_hull(tip)
    first = first.moved(np.array([0, 0, 0.02]))

    def badness(capsule: Capsule) -> float:  # where it stands out of the shape, it counts three times
        distance = capsule.distance(surface)
        return float(np.mean((distance * np.where(distance < 0, 3, 1)) ** 2))

    assert badness(found) < 0.8 * badness(first)
    assert found.distance(surface).min() > first.distance(surface).min()


def test_a_row_over_a_plate_that_narrows_ends_where_it_does_by_hand():
    # A wedge 2 cm thick and 8 cm high that narrows from 12 cm at the bottom to 4 cm at the top: the slanted side is
    # (2, 1) / sqrt(5) in y and z. The box about it gets five capsules of 1 cm along y, the longer way.
    plate = corners([0.01, 0.06, 0.04])
    plate[plate[:, 2] > 0, 1] /= 3
    row = capsules.of_hull(plate)
    assert [c.radius for c in row] == [0.01] * 5
    out = [np.max(hulls.planes(plate) @ [*end, 1.0]) + 0.01 for c in row for end in c.ends]
    np.testing.assert_allclose(out, 4e-3, atol=1e-9)
    # At z = -3 cm the side is at y = 5.5 cm; a ball of 1 cm whose middle is 6 mm from it is sqrt(5) / 2 x 6 mm in.
    np.testing.assert_allclose(np.abs(row[0].ends[:, 1]), 0.055 - 0.006 * 5**0.5 / 2, atol=1e-9)
    np.testing.assert_allclose(np.abs(row[-1].ends[:, 1]), 0.025 - 0.006 * 5**0.5 / 2, atol=1e-9)


def test_capsules_that_others_stand_in_for_are_left_out():
    inside, beside = Capsule(LONG.ends + [0.002, 0, 0], 0.006), Capsule(LONG.ends + [0.03, 0, 0], 0.006)
    row = [inside, LONG, beside]
    surface = np.concatenate([hulls.surface(end + c.radius * hulls.directions(200)) for c in row for end in c.ends])
    assert capsules.needed(row, surface) == [LONG, beside]
    left = np.min([c.distance(surface) for c in (LONG, beside)], axis=0)
    assert left.max() < 4e-3
    assert capsules.needed([inside], surface) == [inside]

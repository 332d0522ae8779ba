from pathlib import Path

import command_line
import evaluate_assist
import pytest

CONFIG = Path(evaluate_assist.__file__).parent / "configs" / "evaluate_assist.py"


def _config(size="smoke", **changes):
    config = command_line.load(f"{CONFIG}:{size}", CONFIG.parent).copy_and_resolve_references()
    config.update(changes)
    return config


@pytest.mark.parametrize("size", ["smoke", "laptop", "gpu"])
def test_every_size_can_be_compared_and_filmed(size):
    evaluate_assist.check(_config(size))


def test_settings_that_would_fail_in_the_end_are_refused_at_once():
    with pytest.raises(ValueError, match=r"config\.strengths is \(0\.0,\): help needs a strength above 0"):
        evaluate_assist.check(_config(strengths=(0.0,)))
    with pytest.raises(ValueError, match=r"cannot film 'slow 1': config\.operators are noisy 1\.5"):
        evaluate_assist.check(_config(film={"operators": ("slow 1",)}))

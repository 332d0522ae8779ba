import html.parser
import json

import numpy as np
from evaluation_records import record

from dexgen_jax import run_log
from dexgen_jax.evaluation import assist, report
from dexgen_jax.viz import plots


def _row(operator, strength, drops, goals=5):
    happened = record([drops // 2, drops // 2, 0, 0], [goals, 0, 0, 0])
    return assist.summarise(operator, happened, "alone" if strength is None else "controller", strength)


ROWS = [
    _row("clean", None, 4),
    _row("still", None, 0, goals=0),
    *[_row("noisy 0.75", strength, drops) for strength, drops in ((None, 80), (0.0, 10), (0.03, 20), (0.3, 40))],
]
COMPARED = {"noisy 0.75": assist.compare(ROWS[2:])}


def _page(tmp_path, **changes):
    mp4 = tmp_path / "a.mp4"
    mp4.write_bytes(b"not really a film")
    steps = np.arange(1, 5)
    fields = dict(
        rows=ROWS,
        comparisons=COMPARED,
        films=[report.Film(mp4, "Alone & helped <side by side>")],
        curves=[plots.Curve("Loss", "gradient steps", {"denoising": (steps, 1 / steps)}, log=True)],
        facts={"Goal": "within 2.5 cm"},
        listings={"settings": "a < b"},
    )
    return report.page(report.Report(**fields | changes))


class _Outline(html.parser.HTMLParser):
    """Tags that are opened and closed, and the addresses that the page would fetch."""

    def __init__(self):
        super().__init__()
        self.opened, self.closed, self.addresses = [], [], []

    def handle_starttag(self, tag, attributes):
        self.opened.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href", "data")]

    def handle_endtag(self, tag):
        self.closed.append(tag)


def test_the_page_needs_no_other_file(tmp_path):
    outline = _Outline()
    text = _page(tmp_path)
    outline.feed(text)
    assert all(address.startswith(("data:", "#")) for address in outline.addresses)
    assert "@import" not in text and "url(http" not in text
    for tag in ("main", "table", "figure", "video", "svg", "details", "html"):
        assert outline.opened.count(tag) == outline.closed.count(tag) > 0
    assert "bm90IHJlYWxseSBhIGZpbG0=" in text  # the film itself, in base64
    assert outline.opened.count("svg") == 2


def test_what_is_not_markup_is_escaped(tmp_path):
    text = _page(tmp_path)
    assert "Alone &amp; helped &lt;side by side&gt;" in text and "a &lt; b" in text


def test_the_headline_says_how_much_longer_and_how_many_goals_and_how_sure():
    # Half of the drops are in environment 0, half in 1. In the even ones strength 0.03 has fewest and no other reaches
    # more goals; in the odd ones there are 10 drops instead of 40 in equal times: 4 times as long. Clopper-Pearson of
    # 40 / 50 is [0.6628, 0.8997]. All five goals of each row are in environment 0.
    line = report.headline("noisy 0.75", COMPARED["noisy 0.75"])
    assert "<b>20.0 s</b> per drop with help, 5.00 s alone: <b>4.00 times as long</b>" in line
    assert "95% interval 1.97 to 8.97" in line
    assert "<b>0.750</b> goals a minute instead of 0.750" in line


def test_a_difference_within_noise_is_not_sold_as_one():
    rows = [_row("slow 1", None, 10), _row("slow 1", 0.03, 8)]
    assert "within counting noise, no difference" in report.headline("slow 1", assist.compare(rows))


def test_no_drop_at_all_is_a_bound_and_not_a_number(tmp_path):
    rows = [_row("slow 1", None, 10), _row("slow 1", 0.03, 0)]
    line = report.headline("slow 1", assist.compare(rows))
    assert "<b>more than 108 s</b>" in line and "at least 0.916 times" in line  # 400 s / 3.689; 5 of 5 drops
    assert "no drop <small>≥ 108</small>" in _page(tmp_path)  # the still hand's row


def test_nothing_over_nothing_is_not_known():
    rows = [_row("slow 1", None, 0, goals=0), _row("slow 1", 0.03, 0, goals=0)]
    for compared in (assist.compare(rows), json.loads(run_log.to_json(assist.compare(rows)))):
        line = report.headline("slow 1", compared)
        assert "alone: how many times as long is not known, with no drop on either side. It reaches" in line
        assert "instead of 0: how many times as many is not known, with no goal on either side." in line


def test_the_table_marks_the_best_row_and_shows_every_row(tmp_path):
    text = _page(tmp_path)
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    assert body.count("<tr") == len(ROWS) and body.count("<tr class=best>") == 1
    best = body[body.index("<tr class=best>") :]
    assert best.index("strength 0.03") < best.index("20.0 <small>12.9 – 32.7</small>")
    assert "strength 0 <small>operator unheard</small>" in body


def test_numbers_have_three_digits_and_no_exponent():
    numbers = [12345.6, 123.4, 12.34, 1.234, 0.01234, 0, None, np.inf]
    assert [report.number(x) for x in numbers] == ["12,346", "123", "12.3", "1.23", "0.0123", "0", "∞", "∞"]

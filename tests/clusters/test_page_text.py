"""A run's page as text, for a scenario to read what its reader sees."""

from __future__ import annotations

from e2e.page_text import page_text

PAGE = """<html><title>a title</title><style>p {}</style><body>
<h1>240 rows went
into x.lance.</h1><dl><div><dt>gpu idle</dt><dd>71%</dd></div></dl>
<table><tr><th>stage</th><th>busy</th></tr>
<tr><th>decode</th><td><span class="bar"><i></i></span></td><td>3 s</td></tr></table>
<p>made<span class="hidden">not measured</span> here</p>
<details><summary>more <details>of it</details></summary>all</details>
<script>let x = 1</script></body></html>"""


def test_a_figure_is_a_line_and_so_is_a_row_of_a_table() -> None:
    assert page_text(PAGE).splitlines() == [
        "240 rows went into x.lance.",
        "gpu idle  71%",
        "stage  busy",
        "decode  3 s",
        "made here",
    ]

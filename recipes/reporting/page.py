"""Parts of a web page that needs nothing but itself: no script, no network, pictures inside."""

import base64
import html
import io

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --back: #fff; --box: #f4f5f7; --line: #d0d5db;
  --link: #0b57d0; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e8eb; --soft: #a6adb5; --back: #14171a; --box: #1f2428; --line: #3a4147; --link: #8ab4f8; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1, h2, h3, h4 { line-height: 1.25; }
section { margin-block: 2rem; }
main > section { border-top: 1px solid var(--line); }
a { color: var(--link); }
.scroll { overflow-x: auto; overflow-wrap: normal; margin-block: 1rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; }
caption { text-align: left; color: var(--soft); padding-block: .25rem; }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th, td, h2, a { unicode-bidi: isolate; }
tbody th { font-weight: 600; min-width: 9rem; max-width: 18rem; overflow-wrap: anywhere; }
td { max-width: 30rem; overflow-wrap: break-word; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 0; }
figcaption { color: var(--soft); }
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: .5rem; }
.wide img { max-width: none; width: max(100%, 40rem); }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
details { background: var(--box); border-radius: .5rem; padding: .5rem 1rem; margin-block: 1rem; }
summary { cursor: pointer; font-weight: 600; }
"""


def page(title, *parts):
    """A whole page.

    Args:
        title: str.
        *parts: str. HTML.

    Returns:
        str. HTML.

    Example:

    >>> "<h1>a &lt; b</h1>" in page("a < b")
    True
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{text(title)}</h1>\n" + "\n".join(filter(None, parts)) + "\n</main>\n</body>\n</html>\n"
    )


def text(value):
    """A value as text that HTML takes for nothing else.

    Args:
        value: anything.

    Returns:
        str. HTML.

    Example:

    >>> text('<img src="x">')
    '&lt;img src=&quot;x&quot;&gt;'
    """
    known = str(value).encode("utf-8", "replace").decode()  # file names need not be UTF-8
    return html.escape(
        "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in known)
    )


def section(title, *parts, level=2, name=None):
    """A part of the page under a heading.

    Args:
        title: str.
        *parts: str. HTML.
        level: int, of the heading. Defaults to 2.
        name: str, what links to it say, or None. Defaults to None.

    Returns:
        str. HTML; "" where there are no parts.

    Example:

    >>> section("Curves", "<p>", level=3)
    '<section>\\n<h3>Curves</h3>\\n<p>\\n</section>'
    """
    parts = list(filter(None, parts))
    if not parts:
        return ""
    start = f'<section id="{text(name)}">' if name else "<section>"
    return "\n".join([start, f"<h{level}>{text(title)}</h{level}>", *parts, "</section>"])


def table(caption, headings, rows):
    """A table in a box of its own that scrolls where it is too wide.

    Args:
        caption: str.
        headings: list of str.
        rows: list of lists. The first cell of each is its heading; numbers, and what is given as
            `(number, text)`, stand at the right.

    Returns:
        str. HTML.

    Example:

    >>> "<th scope=\\"row\\">a</th><td class=\\"number\\">3</td>" in table("all", ["class", "images"], [["a", 3]])
    True
    """
    numeric = [bool(rows) and _is_number(rows[0][column]) for column in range(len(headings))]
    head = "".join(
        f'<th scope="col"{_class(number)}>{text(heading)}</th>' for heading, number in zip(headings, numeric)
    )
    body = "\n".join(f"<tr>{''.join(_cell(number, value) for number, value in enumerate(row))}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">\n<table>\n'
        f"<caption>{text(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def picture(content, alt, caption="", wide=False):
    """A picture inside the page.

    Args:
        content: a `matplotlib.figure.Figure`, or bytes of a PNG.
        alt: str. What it shows, for those who do not see it.
        caption: str. Defaults to "".
        wide: bool. Whether it scrolls in a box of its own rather than to be made very small. Defaults
            to False.

    Returns:
        str. HTML.

    Example:

    >>> picture(b"png", "a cell").startswith('<figure><img alt="a cell" src="data:image/png;base64,')
    True
    """
    if not isinstance(content, bytes):
        file = io.BytesIO()
        content.savefig(file, format="png", dpi=120)
        content = file.getvalue()
    image = f'<img alt="{text(alt)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'
    if wide:
        image = f'<div class="scroll wide" tabindex="0" role="region" aria-label="{text(caption or alt)}">{image}</div>'
    return f"<figure>{image}{f'<figcaption>{text(caption)}</figcaption>' if caption else ''}</figure>"


def file(path, alt, wide=False):
    """A picture of a file.

    Args:
        path: pathlib.Path of a PNG.
        alt: str, as for `picture`.
        wide: bool, as for `picture`. Defaults to False.

    Returns:
        str. HTML; "" where there is no such file.

    Example:

    >>> import pathlib
    >>> file(pathlib.Path("nowhere.png"), "a cell")
    ''
    """
    return picture(path.read_bytes(), alt, wide=wide) if path.is_file() else ""


def details(summary, *parts):
    """What is shown when it is asked for.

    Args:
        summary: str.
        *parts: str. HTML.

    Returns:
        str. HTML.

    Example:

    >>> details("more", "<p>")
    '<details><summary>more</summary>\\n<p></details>'
    """
    return f"<details><summary>{text(summary)}</summary>\n" + "\n".join(parts) + "</details>"


def _cell(number, value):
    if number == 0:
        return f'<th scope="row">{text(value)}</th>'
    shown = value[1] if isinstance(value, tuple) else f"{value:,}" if _is_number(value) else value
    return f"<td{_class(_is_number(value))}>{text(shown)}</td>"


def _is_number(value):
    return isinstance(value, (int, float, tuple)) and not isinstance(value, bool)


def _class(number):
    return ' class="number"' if number else ""

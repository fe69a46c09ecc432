"""The tables of the page on speed, from the records of the benchmarks."""

import json
import pathlib

RESULTS = pathlib.Path(__file__).parents[2] / "benchmarks" / "results"


def pages(folder):
    """The tables of all records.

    Args:
        folder: not used.

    Returns:
        dict of path to Markdown.
    """
    records = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    operations = [_operations(record) for record in records if record["benchmark"] == "operations"]
    others = [_ratios(record) for record in records if "ratios" in record or "added_seconds" in record]
    nothing = "Nothing has been recorded yet: see `benchmarks/README.md`.\n"
    return {
        "parts/operations.md": "\n".join(operations) or nothing,
        "parts/others.md": "\n".join(others) or nothing,
    }


def _operations(record):
    """A line for each work and route: ours, each peer, and the ratio to the best of them."""
    rows_of_all = [rows for work in record["works"].values() for rows in work["routes"].values()]
    peers = [name for name in dict.fromkeys(name for rows in rows_of_all for name in rows) if name != "ours"]
    lines = [_head(record), "", f"| operation | route | ours | {' | '.join(peers)} | ours / best peer | from | to |"]
    lines += ["|---|---|" + "---:|" * (len(peers) + 4)]
    notes = []
    for name, work in record["works"].items():
        mark = ""
        if work["note"]:
            notes.append(f"{name}: {work['note']}")
            mark = f" [{len(notes)}]"
        for number, (route, rows) in enumerate(work["routes"].items()):
            cells = [_speed(rows.get(library)) for library in ("ours", *peers)]
            label = f"**{name}**{mark}, {work['image'][0]}&nbsp;px" if number == 0 else ""
            lines.append(f"| {label} | {route} | {' | '.join(cells)} | {_ratio(rows['ours'].get('ratio'))} |")
    lines += ["", *(f"{number}. {note}." for number, note in enumerate(notes, 1)), ""]
    lines += ["\\* draws once for the whole batch, which is less work.", ""] if _any_per_batch(record) else []
    return "\n".join([*lines, *(f"- {note}." for note in record["notes"]), ""])


def _ratios(record):
    """A line for each ratio, or for each import; and each run of those that take minutes."""
    measured, rows = (
        ("first / second", record["ratios"]) if "ratios" in record else ("seconds", record["added_seconds"])
    )
    lines = [f"### {_title(record)}", "", _head(record), "", f"| {measured} | median | from | to |"]
    lines += ["|---|---:|---:|---:|"]
    for name, row in rows.items():
        lines.append(f"| {name.replace('_', ' ')} | **{row['median']:g}** | {row['min']:g} | {row['max']:g} |")
    lines += ["", *_runs(record["runs"])] if "runs" in record else []
    return "\n".join([*lines, "", *(f"- {note}." for note in record.get("notes", ())), ""])


def _runs(runs):
    lines = ["| run | seed | seconds | accuracy |", "|---|---:|---:|---:|"]
    for run in runs:
        lines.append(f"| {run['contender']} | {run['seed']} | {run['seconds']:.0f} | {run['accuracy']:.2%} |")
    return lines


def _title(record):
    """What was measured, and on which backend where there is one."""
    backend = record.get("backend") or next(iter(record.get("contenders", {}).values()), {}).get("backend")
    return record["benchmark"].replace("_", " ") + (f", {backend}" if backend else "")


def _head(record):
    device = record.get("device") or next(iter(record["contenders"].values()))["device"]
    shown = ("keras", "tensorflow", "jax", "torch", "imaug", "kornia", "numpy")
    versions = ", ".join(f"{name} {record['versions'][name]}" for name in shown if name in record["versions"])
    settings = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in record["settings"].items())
    return f"{record['date'][:10]}, {device}; {versions}; {settings}."


def _speed(row):
    if row is None:
        return "-"
    if "fails" in row:
        return "fails"
    return f"{row['images_per_second']['median']:,.0f}" + ("" if row["per_image"] else " \\*")


def _ratio(ratio):
    return f"**{ratio['median']:.2f}** | {ratio['min']:.2f} | {ratio['max']:.2f}" if ratio else "no peer | |"


def _any_per_batch(record):
    works = record["works"].values()
    return any(
        not row.get("per_image", True) for work in works for rows in work["routes"].values() for row in rows.values()
    )

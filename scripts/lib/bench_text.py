"""Figures as text, tables and Markdown."""

import statistics


def median(values):
    return statistics.median(values)


def spread(values, scale=1.0, digits=1):
    """The median, and between which values it lies."""
    low, middle, high = min(values) * scale, median(values) * scale, max(values) * scale
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def align(rows):
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(rows):
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])


def replace_between(text, name, content):
    """The text with other content between the markers of this name."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = text.split(begin, 1)
    _, after = rest.split(end, 1)
    return f"{before}{begin}\n\n{content.strip()}\n\n{end}{after}"

"""Plots as SVG, without a library: bars, and lines over a scale that may be logarithmic."""

import math
from html import escape

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 80, 150, 50, 60
COLOURS = ("#2563eb", "#d97706", "#6b7280", "#059669", "#9333ea")


def number(value):
    scaled, unit = (value / 1e6, " M") if abs(value) >= 1e6 else (value, "")
    return f"{scaled:,.2f}".rstrip("0").rstrip(".") + unit


def text(x, y, content, anchor="middle", size=12, weight="normal"):
    style = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(content)}</text>'


def box(x, y, width, height, colour):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def line(x1, y1, x2, y2, colour="#d1d5db", width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def document(title, parts):
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, sans-serif" fill="#111827">'
    )
    background = box(0, 0, WIDTH, HEIGHT, "#ffffff")
    return "\n".join([head, background, text(LEFT, 26, title, "start", 15, "bold"), *parts, "</svg>"]) + "\n"


def ticks(highest):
    """Round values from zero to the first above the highest."""
    step = 10 ** math.floor(math.log10(highest or 1))
    step = next(step * factor for factor in (0.2, 0.5, 1, 2) if highest / (step * factor) <= 6)
    return [step * place for place in range(math.ceil(highest / step) + 1)]


def y_axis(label, highest):
    marks = ticks(highest)
    scale = (HEIGHT - TOP - BOTTOM) / marks[-1]
    place = lambda value: HEIGHT - BOTTOM - value * scale
    parts = []
    for mark in marks:
        parts.append(line(LEFT, place(mark), WIDTH - RIGHT, place(mark)))
        parts.append(text(LEFT - 8, place(mark) + 4, number(mark), "end"))
    parts.append(text(LEFT, TOP - 8, label, "start", 11))
    return place, parts


def bars(title, label, values):
    """One bar for each (name, parts), where parts are (name, value) that are stacked."""
    highest = max(sum(value for _, value in parts) for _, parts in values)
    place, svg = y_axis(label, highest)
    room = (WIDTH - RIGHT - LEFT) / len(values)
    names = []
    for index, (name, parts) in enumerate(values):
        x, total = LEFT + room * (index + 0.2), 0.0
        for part, value in parts:
            if part not in names:
                names.append(part)
            colour, top = COLOURS[names.index(part) % len(COLOURS)], place(total + value)
            svg.append(box(x, top, room * 0.6, place(total) - top, colour))
            total += value
        svg.append(text(x + room * 0.3, place(total) - 6, number(round(total, 2 if total < 10 else 0)), weight="bold"))
        svg.append(text(x + room * 0.3, HEIGHT - BOTTOM + 20, name))
    return document(title, svg + legend(names))


def lines(title, x_label, y_label, series, x_log=False):
    """A line for each (name, points)."""
    xs = sorted({x for _, points in series for x, _ in points})
    place, svg = y_axis(y_label, max(y for _, points in series for _, y in points))
    at = (lambda x: math.log10(x)) if x_log else (lambda x: x)
    low, high = at(xs[0]), at(xs[-1])
    across = lambda x: LEFT + 20 + (WIDTH - RIGHT - LEFT - 40) * ((at(x) - low) / (high - low) if high > low else 0.5)
    for x in xs:
        svg.append(text(across(x), HEIGHT - BOTTOM + 20, number(x)))
    svg.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_label))
    for index, (_, points) in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{across(x):.1f},{place(y):.1f}" for x, y in points)
        # Where two lines are the same, the first shows on both sides of the second.
        width = 2 + 3 * (len(series) - 1 - index)
        svg.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        svg += [f'<circle cx="{across(x):.1f}" cy="{place(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
    return document(title, svg + legend([name for name, _ in series]))


def legend(names):
    parts = []
    for index, name in enumerate(names):
        y = TOP + 20 * index
        parts.append(box(WIDTH - RIGHT + 15, y, 12, 12, COLOURS[index % len(COLOURS)]))
        parts.append(text(WIDTH - RIGHT + 33, y + 10, name, "start"))
    return parts

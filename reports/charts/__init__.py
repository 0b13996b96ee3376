"""One file a figure: results in, :class:`reports.figure.Figure` out, drawn with Altair. :data:`CHARTS` is the page's order."""

CHARTS = (
    "reports.charts.cost",
    "reports.charts.components",
    "reports.charts.unit_time",
    "reports.charts.roofline",
    "reports.charts.timelines",
)

"""Reports: everything they say is read from :class:`qsim.results.RunResult`.

:data:`REPORTS` names what can be written, with the function that does it. The page and figures need the ``report`` extra.
Read in this order: :mod:`reports.views` (results to plain rows), :mod:`reports.theme` (colours), :mod:`reports.charts` (rows to Vega-Lite),
:mod:`reports.page` (the HTML file and everything beside it).
"""

REPORTS = {
    "page": "One self-contained HTML page with interactive figures, and all files below beside it (reports.page.write_report)",
    "figures": "Every figure as SVG and PNG (reports.plots.figure_files)",
    "csv": "Every number of the page, one a row, with its unit (reports.exports.csv_text)",
    "json": "The runs themselves, to be read back by qsim (reports.exports.json_text)",
    "chrome-trace": "What every unit did in every cycle, for Perfetto or chrome://tracing (reports.chrome_trace.chrome_trace_text)",
}

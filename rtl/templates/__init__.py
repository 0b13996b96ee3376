"""The texts of files that are made for users of the Verilog: templates, and how they are filled."""

from importlib.util import find_spec

from qsim.errors import MissingExtra


def render(template: str, **values: object) -> str:
    """Return the text of ``template``, a file of this folder, with ``values``; an unknown name in it is an error.

    Raises :class:`MissingExtra` without Jinja2.
    """
    if find_spec("jinja2") is None:
        raise MissingExtra("rtl", "writing a package of Verilog")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__name__, "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # none of them is HTML
    )
    return environment.get_template(template).render(**values)

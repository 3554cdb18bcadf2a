"""Self-contained HTML pages: a template with places, and data that cannot leave their script."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """Put values into the places of a template.

    Parameters
    ----------
    template : str
        With places such as ``{{title}}``.
    values : mapping of str to str
        A value for each name; places with other names stay as they are. Values are put in as they
        are: escape them for where they stand.

    Returns
    -------
    str
        The page. A value that holds the name of a place keeps it.

    Examples
    --------
    >>> fill_template("<h1>{{title}}</h1>", {"title": "{{data}}", "data": "1"})
    '<h1>{{data}}</h1>'
    """
    names = "|".join(map(re.escape, values))
    return re.sub(rf"\{{\{{({names})\}}\}}", lambda match: values[match[1]], template)


def script_json(content: Mapping[str, Any]) -> str:
    r"""Write JSON that neither ends its script element nor starts a comment in it.

    Parameters
    ----------
    content : mapping
        Values that JSON can hold, NaN and infinity not among them.

    Returns
    -------
    str
        ASCII without angle brackets and ampersands.

    Examples
    --------
    >>> script_json({"text": "</script>"})
    '{"text":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

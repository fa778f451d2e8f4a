"""For mkdocs: the headings of this package's docstrings by the names that the parser of NumPy's style knows."""

import re

import griffe

HEADINGS = {"Arguments": "Parameters", "Example": "Examples"}


class DocstringHeadings(griffe.Extension):
    """Replaces the headings before a docstring is parsed."""

    def on_object(self, *, obj, **kwargs):
        """Called with every module, class, function and attribute."""
        if obj.docstring is None:
            return
        for own, known in HEADINGS.items():
            obj.docstring.value = re.sub(
                rf"^{own}\n-+$", f"{known}\n{'-' * len(known)}", obj.docstring.value, flags=re.MULTILINE
            )

"""The module that Lambda imports: the package's quick half first, and the whole where a request needs more.

The build copies it as ``lambda_function.py``, with the package's name filled in. All modules of both halves are in one
file, ``code.txt``, each after a line with its path: much smaller, and read at once.
"""

import sys

FOLDER = __file__.rpartition("/")[0]
QUICK, WHOLE = "quick", "{package}"
MODULE = ".functions.aws_lambda.handler"


class Elsewhere(BaseException):
    """Raised by the quick half in the place of what was left out of it."""


def elsewhere(*_, **__):
    """Stands in the place of a function that was left out."""
    raise Elsewhere


def sections():
    """The paths and texts of all modules, in the order in which they can be run."""
    with open(FOLDER + "/code.txt", encoding="utf-8") as file:
        parts = file.read().split("\n#: ")
    return [part.partition("\n")[::2] for part in parts[1:]]


def quick():
    """The handler of the quick half."""
    module = type(sys)
    found = []
    for path, text in sections():
        if path.startswith(QUICK + "/"):
            package, _, name = path[:-3].replace("/", ".").rpartition(".")
            made = module(package if name == "__init__" else package + "." + name)
            made.__package__ = package
            made.__dict__.update(Elsewhere=Elsewhere, elsewhere=elsewhere)
            sys.modules[made.__name__] = made
            found.append((made, path, text))
    for made, path, text in found:
        exec(compile(text, path, "exec"), made.__dict__)
    return sys.modules[QUICK + MODULE].load(FOLDER)


class Finder:
    """Lets Python import the whole package from the one file."""

    def __init__(self):
        self.texts = dict(sections())

    def find_spec(self, name, path=None, target=None):
        """Python's question for a module; None for another's."""
        from importlib.machinery import ModuleSpec

        file = name.replace(".", "/")
        for place in (file + "/__init__.py", file + ".py"):
            if place in self.texts:
                return ModuleSpec(name, self, origin=place, is_package="__init__" in place)  # type: ignore[arg-type]
        return None

    def create_module(self, spec):
        """Python's own kind of module."""

    def exec_module(self, module):
        """Run a module's text."""
        place = module.__spec__.origin
        exec(compile(self.texts[place], place, "exec"), module.__dict__)


def whole():
    """The handler of the whole package, imported when it is first needed."""
    if not _whole:
        sys.meta_path.append(Finder())
        module = __import__(WHOLE + MODULE, fromlist=["load"])
        _whole.append(module.load(FOLDER, cold=_quick.cold))
        _quick.cold = False
    return _whole[0]


_quick = quick()
_whole: list = []


def handler(event, context):
    """Answer an event."""
    try:
        return _quick(event, context)
    except Elsewhere:
        pass  # nothing was done yet: what is in the quick half only reads
    return whole()(event, context)

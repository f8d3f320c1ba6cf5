"""Scripts that start worker processes without a main guard are refused before they run themselves again."""

import ast
import inspect
import pathlib
import sys


def check_main_guard() -> None:
    """Checks that a script that calls this from its top level does so behind `if __name__ == "__main__":`.

    Worker processes import the script that started them; what stands at its top level would run again in each.

    Raises:
      RuntimeError: it does not, or there is no script that they could import; says what to do.
    """
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file == "<stdin>":
        raise RuntimeError(
            "the training set is read by worker processes, which need the file of the program that starts them, and "
            "this one is read from standard input; save it in a file, or use workers=0"
        )
    frame = inspect.currentframe()
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__" and code.co_filename == file:
            if not _is_guarded(pathlib.Path(file), frame.f_lineno):
                raise RuntimeError(
                    f"{file}, line {frame.f_lineno}: the training set is read by worker processes, and each would run "
                    'this script again; put what trains under `if __name__ == "__main__":`, or use workers=0'
                )
            return
        frame = frame.f_back


def _is_guarded(file: pathlib.Path, line: int) -> bool:
    """Whether the statement of a script's top level at a line is an `if` that asks for `__name__`."""
    try:
        tree = ast.parse(file.read_text())
    except (OSError, SyntaxError, ValueError):
        return True  # no source to look into
    for statement in tree.body:
        if statement.lineno <= line <= (statement.end_lineno or statement.lineno):
            return isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)
    return True

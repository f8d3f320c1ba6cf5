import pathlib
import shutil
import subprocess
import sys

import pytest

from hdlif_jax import training
from hdlif_jax.training import progress
from hdlif_jax.training.runners import StreamingRunner
from hdlif_jax.training.sharding import make_mesh
from tests.training.trainers import make_dataset

STEP = {"step": 3, "epoch": 1, "loss": 0.5, "accuracy": 0.25, "learning_rate": 0.1}
EPOCH = {
    "step": 6,
    "epoch": 1,
    "train_loss": 0.4,
    "train_accuracy": 0.75,
    "validation_accuracy_per_step": [0.25, 0.5],
    "firing_rates": {},
    "images_per_second": 1234.5,
}


def test_outside_of_a_notebook_each_epoch_is_a_line(capsys):
    callbacks = training.notebook_progress()
    callbacks.on_step(STEP)
    callbacks.on_epoch(EPOCH)
    callbacks.on_epoch(EPOCH | {"validation_accuracy_per_step": None})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "epoch 1, step 6, loss 0.400, accuracy 0.750, validation 0.500, 1,234 images/s"
    assert lines[1] == "epoch 1, step 6, loss 0.400, accuracy 0.750, 1,234 images/s"


class Display:
    """Stands for IPython's display: keeps what is shown."""

    def __init__(self):
        self.shown = []

    def __call__(self, value, **options):
        handle = Handle(self.shown, len(self.shown))
        self.shown.append(value)
        return handle


class Handle:
    def __init__(self, shown, place):
        self.shown, self.place = shown, place

    def update(self, value, **options):
        self.shown[self.place] = value


def test_in_a_notebook_a_line_moves_and_curves_grow(monkeypatch):
    display = Display()
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    callbacks = training.notebook_progress(every_seconds=1000)
    callbacks.on_step(STEP)
    assert display.shown == [{"text/plain": "epoch 1, step 3, loss 0.500, accuracy 0.250"}]
    callbacks.on_step(STEP | {"step": 4})  # too soon
    assert "step 3" in display.shown[0]["text/plain"]
    pictures = []
    for epoch in (1, 2):
        callbacks.on_epoch(EPOCH | {"epoch": epoch})
        pictures.append(display.shown[1].data)
    line, _ = display.shown  # nothing is shown twice
    assert line["text/plain"].startswith("epoch 2, step 6")
    assert pictures[0].startswith(b"\x89PNG")
    assert pictures[0] != pictures[1]


GUARDS = {
    "": False,
    "if True:\n    ": False,
    'if __name__ == "__main__":\n    ': True,
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_script_without_a_main_guard_is_told_what_to_write(guard, tmp_path):
    script = tmp_path / "own.py"
    script.write_text(f"import guard\n\ndef train():\n    guard.check_main_guard()\n\n{guard}train()\n")
    shutil.copy(pathlib.Path(progress.__file__).with_name("guard.py"), tmp_path)
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (result.returncode == 0) == GUARDS[guard]
    if not GUARDS[guard]:
        assert "own.py, line " in result.stderr
        assert 'under `if __name__ == "__main__":`, or use workers=0' in result.stderr


def test_a_program_from_standard_input_is_told_to_be_a_file(tmp_path):
    shutil.copy(pathlib.Path(progress.__file__).with_name("guard.py"), tmp_path)
    text = "import guard; guard.check_main_guard()"
    result = subprocess.run(
        [sys.executable, "-"], input=text, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "this one is read from standard input; save it in a file, or use workers=0" in result.stderr


def test_worker_processes_are_started_behind_the_guard_alone(monkeypatch):
    def refuse():
        raise RuntimeError("no main guard")

    monkeypatch.setattr("hdlif_jax.training.runners.check_main_guard", refuse)
    arguments = make_dataset().train, 4, 0, lambda state, batch: (state, None), make_mesh()
    StreamingRunner(*arguments, workers=0)
    with pytest.raises(RuntimeError, match="no main guard"):
        StreamingRunner(*arguments, workers=1)

"""Results."""


def write(folder, experiments):
    folder.mkdir(exist_ok=True)

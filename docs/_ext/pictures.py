"""Pictures of the concept pages."""


def write(folder):
    folder.mkdir(exist_ok=True)

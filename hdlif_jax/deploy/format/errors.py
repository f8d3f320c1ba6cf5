"""The one error of a damaged, foreign or hostile artifact."""


class ArtifactError(ValueError):
    """An artifact that is refused; the message says what is wrong with which file."""


def require(condition: bool, message: str) -> None:
    """Raises ArtifactError with `message` unless `condition` holds."""
    if not condition:
        raise ArtifactError(message)

"""How a setting is spelled outside: as a variable, and as a flag. Which settings there are is for the model to say."""

PREFIX = "OPENROUTER_"
ENV_FILE_VARIABLE = PREFIX + "ENV_FILE"  # names a file of settings, and so is no setting itself


def variable(field: str, profile: str = "") -> str:
    """The environment variable of a setting; of a profile's, if ``profile`` is its name in variables."""
    return f"{PREFIX}{f'PROFILES__{profile}__' if profile else ''}{field.upper()}"


def flag(field: str) -> str:
    """The command line's flag of a setting."""
    return "--" + field.replace("_", "-")

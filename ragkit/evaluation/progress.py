"""What a long evaluation tells its caller while it runs."""

from collections.abc import Callable

OnQuestions = Callable[[int, int], None]
"""Called with how many of how many questions are done."""

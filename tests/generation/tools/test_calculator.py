from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.generation.tools.calculator import LARGEST, LONGEST, calculate

numbers = st.one_of(
    st.integers(0, 9999).map(lambda n: (str(n), Fraction(n))),
    st.decimals(0, 99, places=2).map(lambda d: (str(d), Fraction(d))),
)


def joined(children: st.SearchStrategy[tuple[str, Fraction]]) -> st.SearchStrategy[tuple[str, Fraction]]:
    signs = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}
    return st.tuples(children, st.sampled_from(sorted(signs)), children).map(
        lambda parts: (
            f"({parts[0][0]}{parts[1]}{parts[2][0]})",
            signs[parts[1]](parts[0][1], parts[2][1]),
        )
    )


@given(st.recursive(numbers, joined, max_leaves=8))
def test_arithmetic_is_exact(expression: tuple[str, Fraction]) -> None:
    written, value = expression
    if value.denominator == 1 and len(written) <= LONGEST:
        assert calculate(written) == str(value.numerator)
    elif len(written) <= LONGEST:
        assert Fraction(calculate(written)) == pytest.approx(float(value), rel=1e-11)


@pytest.mark.parametrize(
    "written, value",
    [
        ("123+456", "579"), (" 7 - 10 ", "-3"), ("400 / 1400", "0.285714285714"), ("0.1+0.2", "0.3"),
        ("2 × (3 + 4) ÷ 7", "2"), ("1,250 * 4", "5000"), ("-(-3)", "3"), ("+5", "5"), ("1e3 + 1", "1001"),
        ("10**2", None),
    ],
)  # fmt: skip
def test_by_hand(written: str, value: str | None) -> None:
    if value is None:
        with pytest.raises(RagkitError, match="not arithmetic"):
            calculate(written)
    else:
        assert calculate(written) == value


@pytest.mark.parametrize(
    "written",
    [
        "", "two", "1 +", "__import__('os').system('true')", "(lambda: 1)()", "[1][0]", "1 if 1 else 2",
        "True", "'a' * 3", "1 < 2", "x", "1; 2", "f'{1}'", "1j", "9**9**9", "1 // 2", "5 % 3", "1 << 9", "()",
        "NaN", "1e999", "(" * 95 + "1" + ")" * 95 + "+x", "\\x00", "1\n+x",
    ],
)  # fmt: skip
def test_all_else_is_refused(written: str) -> None:
    with pytest.raises(RagkitError, match="not arithmetic"):
        calculate(written)


def test_size_is_bounded() -> None:
    with pytest.raises(RagkitError, match="characters"):
        calculate("1+" * LONGEST + "1")
    with pytest.raises(RagkitError, match="not arithmetic"):
        calculate(f"{LARGEST} * 10")
    with pytest.raises(RagkitError, match="division by zero"):
        calculate("1 / (2 - 2)")

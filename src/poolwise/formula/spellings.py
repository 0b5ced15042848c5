"""Spellings of R, brms, Bambi and patsy, rewritten as they are written here.

Each rewrites text to text before a formula is read, so that columns, states and saved files know one spelling only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from poolwise.formula.scan import QUOTED, blanked, pieces, place_error, scan
from poolwise.support.errors import FormulaError, suggest

_CALL = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*)\s*\(")
_POWER = re.compile(r"\)\s*\*\*\s*(\d+)")
_WORDS = {"TRUE": "True", "FALSE": "False", "NULL": "None"}
_WORD = re.compile(r"(?<![\w.`])(TRUE|FALSE|NULL)(?![\w.(])")
_CODINGS_OF_R = ("treatment", "SAS", "sum", "helmert", "poly", "diff")
_CODINGS_OF_PATSY = ("Treatment", "Sum", "Helmert", "Poly", "Diff")
_MOST_TERMS = 20_000

_TENSORS = "write t2(x, z), whose parts have an sd each"
_ERRORS_IN_VARIABLES = "errors in predictors are not modelled"
_IN_TIME = "rw1(t) is a random walk over time, rw2(t) a smoother one, ar1(t) a stationary autoregression"
_AREAS = "write icar(area, neighbours), or bym2(area, neighbours) with independent effects beside it"
_ELSEWHERE = {
    "te": _TENSORS,
    "ti": _TENSORS,
    "hsgp": "write gp(x), a Gaussian process in so many functions: gp(x, k=20)",
    "me": _ERRORS_IN_VARIABLES,
    "mi": _ERRORS_IN_VARIABLES,
    "ar": _IN_TIME,
    "ma": _IN_TIME,
    "arma": _IN_TIME,
    "cosy": _IN_TIME,
    "car": _AREAS,
    "sar": _AREAS,
    "bym": _AREAS,
    "ordered": "write C(x) for one coefficient for each category, or C(x, contr.poly) for polynomials of their order",
    "cut": "make the intervals a column of the data, with pandas.cut or CASE WHEN",
    "ifelse": "write np.where(condition, yes, no)",
    "as.integer": "write I(x) for a number, C(x) for categories",
    "as.logical": "write I(x == 'yes') for an indicator",
}


def spelled(text: str, own: Collection[str] = ()) -> str:
    """A formula with R's, brms' and patsy's spellings replaced: `x^2`, `factor(k)`, `as.factor(k)`, `ns(x, 3)`, `TRUE`.

    Parameters
    ----------
    own : names of functions of the user, which mean these.

    Raises
    ------
    FormulaError : for functions of these packages that mean nothing here, with what to write instead.
    """
    list(scan(text))  # brackets and quotes are whole
    text = _outside_quotes(text, lambda part: _WORD.sub(lambda found: _WORDS[found[1]], part.replace("^", "**")))
    return _limited_powers(_calls(text, own))


def as_indicators(term: str) -> str:
    """A term in which comparisons that stand by themselves are computed: `x > 1` becomes `I(x > 1)`, and so does
    `(x > 1) & (z > 1)`."""
    symbols = list(scan(term))
    if is_comparison(term) or any(symbol == "&" and depth == 0 for _, symbol, depth in symbols):
        return f"I({term})"
    for at, symbol, depth in reversed(symbols):
        if symbol != "(" or (term[:at].rstrip()[-1:].isalnum() or term[:at].rstrip()[-1:] in ("_", ".")):
            continue
        end = next(place for place, sign, level in symbols if place > at and sign == ")" and level == depth)
        inside = [(place, sign) for place, sign, level in symbols if at < place < end and level == depth + 1]
        if any(_compares(term, place, sign) for place, sign in inside) and not _within_call(term, symbols, at):
            term = f"{term[:at]}I{term[at:]}"
    return term


def is_comparison(term: str) -> bool:
    """Whether a term compares at its top, as `x > 1` and `a == b` do."""
    return any(_compares(term, at, symbol) and depth == 0 for at, symbol, depth in scan(term))


def _within_call(term: str, symbols: list[tuple[int, str, int]], at: int) -> bool:
    """Whether a position is inside the brackets of a call, where comparisons are computed anyway."""
    opened: list[int] = []
    for place, symbol, _ in symbols:
        if place >= at:
            break
        if symbol in "([{":
            opened.append(place)
        elif symbol in ")]}":
            opened.pop()
    return any(re.search(r"[\w.]\s*$", term[:place]) for place in opened)


def _compares(text: str, at: int, symbol: str) -> bool:
    return symbol in "<>" or (symbol == "=" and text[at : at + 2] == "==") or text[at : at + 2] == "!="


def _outside_quotes(text: str, change: Callable[[str], str]) -> str:
    parts, at = [], 0
    for quoted in QUOTED.finditer(text):
        parts += [change(text[at : quoted.start()]), quoted.group()]
        at = quoted.end()
    return "".join([*parts, change(text[at:])])


def _calls(text: str, own: Collection[str]) -> str:
    """Every call of a function that is spelled differently here, rewritten; innermost ones too."""
    at = 0
    while (found := _CALL.search(blanked(text), at)) is not None:
        end, name = _closing(text, found.end() - 1), found[1]
        if name in _ELSEWHERE and name not in own:
            raise place_error(text, found.start(), f"{name}() is not known here: {_ELSEWHERE[name]}")
        inside, rewrite = _calls(text[found.end() : end], own), None if name in own else _REWRITES.get(name)
        call = f"{name}({inside})" if rewrite is None else rewrite(pieces(inside))
        text, at = f"{text[: found.start()]}{call}{text[end + 1 :]}", found.start() + len(call)
    return text


def _closing(text: str, opening: int) -> int:
    depth = next(level for at, _, level in scan(text) if at == opening)
    return next(at for at, symbol, level in scan(text) if at > opening and symbol == ")" and level == depth)


def _limited_powers(text: str) -> str:
    """`(a + b)**k` with k at most the number of summands, beyond which nothing new comes.

    Raises
    ------
    FormulaError : where it would expand to more terms than anybody fits.
    """
    for found in reversed(list(_POWER.finditer(blanked(text)))):
        depth = next(level for at, _, level in scan(text) if at == found.start())
        opening = max(at for at, symbol, level in scan(text) if at < found.start() and symbol == "(" and level == depth)
        if re.search(r"[\w.]\s*$", text[:opening]):
            continue  # the brackets of a call: a number is raised to a power
        summands = 1 + sum(text[opening : found.start()].count(sign) for sign in "+-*/")
        power = min(int(found[1]), summands)
        if summands**power > _MOST_TERMS:
            raise place_error(text, found.start(), f"this power would expand to more than {_MOST_TERMS:,} products")
        text = f"{text[: found.start(1)]}{power}{text[found.end(1) :]}"
    return text


def _category(arguments: list[str]) -> str:
    return f"C({', '.join(arguments)})" if len(arguments) == 1 else _refused("factor", "C(x)")


def _coded(arguments: list[str]) -> str:
    """`C(k, Sum)`, `C(k, sum)` and `C(k, 'contr.sum')` name a coding, for which there is a call or `contr.sum` here."""
    coding = re.fullmatch(r"(contrasts\s*=\s*)?(?:(['\"])(?:contr\.)?(\w+)\2|([^\W\d]\w*))", "".join(arguments[1:2]))
    if coding is not None and coding[4] not in ("None", "True", "False"):
        name = coding[3] or coding[4]
        if name in _CODINGS_OF_R:
            arguments[1] = f"{coding[1] or ''}contr.{name}"
        elif name in _CODINGS_OF_PATSY:
            arguments[1] = f"{coding[1] or ''}{name}()"
        else:
            written = f"C({', '.join(arguments)})"
            known = suggest(name, [*(f"contr.{one}" for one in _CODINGS_OF_R), *_CODINGS_OF_PATSY])
            raise FormulaError(
                f"'{name}' in '{written}' is no coding of categories; for differences from a category 'b' write "
                f"C({arguments[0]}, contr.treatment(base='b')). {known}"
            )
    return f"C({', '.join(arguments)})"


def _natural_spline(arguments: list[str]) -> str:
    """R's `ns(x, df)` spans the natural cubic splines without a constant, as this `cr` does."""
    positional = [one for one in arguments if not re.match(r"\w+\s*=(?!=)", one)]
    named = [one for one in arguments if one not in positional]
    if len(positional) == 2:
        named.insert(0, f"df={positional[1]}")
    if not positional or len(positional) > 2 or any(not re.match(r"(df|knots)\s*=", one) for one in named):
        _refused("ns", "cr(x, df=4)")
    return f"cr({', '.join([positional[0], *named])}, constraints='center')"


def _releveled(arguments: list[str]) -> str:
    if len(arguments) != 2:
        _refused("relevel", "C(x, contr.treatment(base='first'))")
    base = re.sub(r"^ref\s*=\s*", "", arguments[1])
    return f"C({arguments[0]}, contr.treatment(base={base}))"


def _quoted_name(arguments: list[str]) -> str:
    return f"`{arguments[0][1:-1]}`" if len(arguments) == 1 and arguments[0][:1] in "'\"" else _refused("Q", "`a name`")


def _refused(name: str, instead: str) -> str:
    raise FormulaError(f"This way to call {name}() is not known here; write {instead}.")


_REWRITES: dict[str, Callable[[list[str]], str]] = {
    "C": _coded,
    "factor": _category,
    "as.factor": _category,
    "as_factor": _category,
    "as.character": _category,
    "as.numeric": lambda arguments: f"numeric({', '.join(arguments)})",
    "ns": _natural_spline,
    "relevel": _releveled,
    "interaction": lambda arguments: f"({':'.join(arguments)})" if len(arguments) > 1 else arguments[0],
    "Q": _quoted_name,
    "us": lambda arguments: f"({', '.join(arguments)})",
    "diag": lambda arguments: f"({re.sub(r'[|]+', '||', ', '.join(arguments), count=1)})",
}

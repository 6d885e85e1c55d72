"""What the simulator says: plausible, and always the same for the same prompt."""

import re
from hashlib import sha256
from typing import Final

_CAPITALS: Final = {
    "australia": "Canberra",
    "austria": "Vienna",
    "brazil": "Brasilia",
    "canada": "Ottawa",
    "china": "Beijing",
    "egypt": "Cairo",
    "england": "London",
    "france": "Paris",
    "germany": "Berlin",
    "india": "New Delhi",
    "italy": "Rome",
    "japan": "Tokyo",
    "norway": "Oslo",
    "poland": "Warsaw",
    "portugal": "Lisbon",
    "spain": "Madrid",
    "sweden": "Stockholm",
    "the united states": "Washington, D.C.",
}
_SENTENCES: Final = (
    "It depends on what you want to do with it.",
    "The short version fits in one sentence.",
    "Start small and measure before you change anything.",
    "There are two common ways, and both of them work.",
    "The details matter more than they seem to at first.",
    "Most people find the simple form good enough.",
    "An example says it better than a definition.",
    "Ask again with more detail and the answer will be longer.",
    "Nothing here was computed by a real model.",
    "The same prompt always gives these same words.",
)
_STORY: Final = (
    "the quiet river carries small lights past old stone houses while evening settles over the "
    "fields and someone far away is still counting every word of a story that began long before morning"
)
_LONGEST: Final = 20_000  # words, whatever the prompt asks for


def reply(prompt: str, choice: int = 0) -> str:
    """The answer to a prompt; another one for each choice of `n` where the prompt leaves room for it."""
    for pattern, answer in _RULES:
        if found := pattern.search(prompt):
            return answer(found)
    return _small_talk(prompt, choice)


def reasoning(prompt: str, sentences: int) -> str:
    """What a reasoning model would think before it answers."""
    said = f"The user says: {_shortened(prompt, 12)} I should answer plainly."
    return " ".join([said, *_picked(prompt, sentences)])


def words(number: int) -> str:
    """A text of exactly so many words."""
    number = min(number, _LONGEST)
    story = _STORY.split()
    text = " ".join(story[place % len(story)] for place in range(number))
    return text[:1].upper() + text[1:]


def _small_talk(prompt: str, choice: int) -> str:
    if not prompt.strip():
        return "Hello! What would you like to know?"
    said = _picked(f"{choice} {prompt}", 2)
    return " ".join([f"You said: {_shortened(prompt, 12)}", *said])


def _picked(seed: str, number: int) -> list[str]:
    digest = sha256(seed.encode()).digest()
    start, step = digest[0], (1, 3, 7, 9)[digest[1] % 4]  # coprime to ten: no sentence twice in ten
    return [_SENTENCES[(start + step * place) % len(_SENTENCES)] for place in range(number)]


def _shortened(prompt: str, most: int) -> str:
    said = prompt.split() or ["nothing"]
    text = " ".join(said[:most]) + (" ..." if len(said) > most else "")
    return text if text[-1] in ".!?" else text + "."


def _echo(found: re.Match[str]) -> str:
    return found["said"].strip()


def _capital(found: re.Match[str]) -> str:
    country = found["country"].strip().lower()
    name = country.title().replace("The ", "the ")
    capital = _CAPITALS.get(country)
    return f"The capital of {name} is {capital}." if capital else f"I do not know the capital of {name}."


def _sum(found: re.Match[str]) -> str:
    left, sign, right = int(found["left"]), found["sign"], int(found["right"])
    if sign == "/":
        result = f"{left / right:g}" if right else "not defined"
    else:
        result = str({"+": left + right, "-": left - right}.get(sign, left * right))
    return f"{left} {sign} {right} = {result}."


def _counted(found: re.Match[str]) -> str:
    first, last = int(found["first"] or 1), min(int(found["last"]), _LONGEST)
    return ", ".join(str(number) for number in range(first, last + 1)) or "There is nothing to count."


def _hello(_: re.Match[str]) -> str:
    return "Hello! How can I help you today?"


def _welcome(_: re.Match[str]) -> str:
    return "You are welcome!"


def _story(_: re.Match[str]) -> str:
    return words(120) + "."


def _so_many(found: re.Match[str]) -> str:
    return words(int(found["number"])) + "."


_SAY: Final = r"(?i)\b(?:say|repeat|echo|reply with|respond with|answer with)\b"
_JUST: Final = r"(?: only| exactly| just)*(?: the words?)?:?"
_SIGN: Final = r" ?(?P<sign>[+*x]|(?<= )[-/](?= )) ?"
_RULES: Final = tuple(
    (re.compile(pattern), answer)
    for pattern, answer in (
        (_SAY + r"[^\"'\n]{0,40}(?P<quote>[\"'])(?P<said>.+?)(?P=quote)", _echo),
        (r"(?i)\b(?:say|saying) (?:hello|hi)\b|^\s*(?:hello|hi|hey|good morning)\b", _hello),
        (_SAY + _JUST + r" (?!an? |one |me )(?P<said>.{1,2000})", _echo),
        (r"(?i)\bcapital of (?P<country>(?:the )?[a-z ]+?)\s*(?:[?.!,]|$)", _capital),
        (r"(?<![\d.-])(?P<left>\d{1,9})" + _SIGN + r"(?P<right>\d{1,9})(?![\d-])", _sum),
        (r"(?i)\bcount (?:up )?(?:from (?P<first>\d{1,6}) )?to (?P<last>\d{1,6})", _counted),
        (r"(?i)\b(?P<number>\d{1,6})[- ]words?\b", _so_many),
        (r"(?i)\b(?:poem|story|essay)\b", _story),
        (r"(?i)\b(?:thanks|thank you)\b", _welcome),
    )
)

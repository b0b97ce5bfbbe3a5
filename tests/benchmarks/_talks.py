"""A year of talks made from a seed, and questions as agents ask them: whole sentences, days, names, codes, quotations.

Every message is said once; what answers a question is known because both were made together.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple
from uuid import UUID

PEOPLE = (
    *("Amara", "Björn", "Chiara", "Dmitri", "Esra", "Fabien", "Greta", "Hiroshi", "Inés", "Jakub", "Kofi", "Lena"),
    *("Mateo", "Nadia", "Oskar", "Priya", "Quentin", "Rosa", "Stefan", "Tamsin", "Umberto", "Vera", "Wanda", "Yusuf"),
)
ERRANDS: tuple[tuple[str, str], ...] = (
    ("I had the old bicycle repaired, the chain kept coming off.", "What was wrong with my bike?"),
    ("The dentist says the crown must be replaced in spring.", "What dental work do I need?"),
    ("I planted tulips and garlic along the fence.", "What did I put into the garden bed?"),
    ("My knee hurts when I walk down the stairs.", "Which joint is causing me pain?"),
    ("We painted the bedroom a dark green.", "What colour are the walls where I sleep?"),
    ("I cancelled the gym, it was never used.", "Which membership did I give up?"),
    ("The neighbours' baby cries half of the night.", "Why do I sleep badly?"),
    ("I burnt the risotto and we ordered sushi.", "How did dinner go wrong?"),
    ("The landlord finally mended the heating.", "Is the apartment warm again?"),
    ("I lost my umbrella on the tram again.", "What did I leave behind on public transport?"),
    ("I read a thick novel about lighthouse keepers.", "What was the book about that I finished?"),
    ("My pension fund sent a letter that nobody understands.", "What post about my retirement arrived?"),
    ("I am learning to throw clay bowls at an evening class.", "What craft am I taking lessons in?"),
    ("The exam went well, I only missed one question.", "How did my test turn out?"),
    ("I sold the car because parking costs too much.", "Why do I no longer drive?"),
    ("The choir sings Fauré at Easter and I am nervous.", "What music will I perform?"),
    ("I adopted a grey cat from the shelter.", "Do I have a pet?"),
    ("We missed the ferry and slept in the harbour.", "Where did we have to spend the night?"),
    ("My laptop was stolen from the café.", "What valuable thing was taken from me?"),
    ("I am allergic to walnuts, it turns out.", "What food must I avoid?"),
)
THINGS = (
    *("boiler", "passport", "parcel", "invoice", "guitar", "mortgage", "visa", "washing machine", "tax return", "tent"),
    *("piano", "roof", "server", "router", "insurance", "subscription", "rental van", "microscope", "loan", "kayak"),
)
ACTS = (
    ("met {name} at the station and gave back the {thing}", "What did I give back to {name}?"),
    ("called {name} about the {thing}, it will cost {sum} euros", "How much does the {thing} of {name} cost?"),
    ("showed {name} the {thing} and got a long lecture", "Who lectured me about the {thing}?"),
    ("borrowed a {thing} from {name} for the weekend", "What was borrowed from {name}?"),
)
REPLIES = (
    "That sounds like a full day. How do you feel about it?",
    "I see. Tell me how it goes on.",
    "Noted. Shall I remind you of that?",
    "Good to hear. What comes next?",
    "Oh no! And what will you do now?",
)
CHATTER = (
    "Nothing new today, only rain.",
    "I slept well and had too much coffee.",
    "Work was long, I am glad it is evening.",
    "Let us talk about something pleasant.",
    "Good morning! Here I am again.",
)
END = datetime(2026, 6, 26, 18, tzinfo=UTC)
DAYS = 170


class Said(NamedTuple):
    """A message of a talk."""

    at: datetime
    role: str
    text: str


def talks(seed: int = 7) -> tuple[list[list[Said]], list[tuple[str, list[int]]]]:
    """(talks with their messages in order, (question, numbers of the messages that answer it, counted over all))."""
    random = Random(seed)
    told = list(_told(random))
    random.shuffle(told)
    days = sorted(random.sample(range(1, DAYS), 60))
    found: list[list[Said]] = []
    questions: list[tuple[str, list[int]]] = []
    number = 0
    for at, day in enumerate(days):
        start = END - timedelta(days=DAYS - day, hours=random.randrange(8))
        talk: list[Said] = []
        mine: list[int] = []
        for say, asks in [*told[at::60], (random.choice(CHATTER), [])]:
            mine.append(number + len(talk))
            questions += [(ask, [number + len(talk)]) for ask in asks]
            for role, text in (("user", say), ("assistant", random.choice(REPLIES))):
                talk.append(Said(start + timedelta(minutes=2 * len(talk)), role, text))
        if at % 3 == 0:
            questions.append((f"What did the user tell me on {start:%-d %B}?", mine))
        number += len(talk)
        found.append(talk)
    last = found[-1][0].at
    for talk in found[-12:]:
        first = next(at for at, said in enumerate(said for one in found for said in one) if said is talk[0])
        if 0 < (last.date() - talk[0].at.date()).days < 7:
            mine = [first + at for at, said in enumerate(talk) if said.role == "user"]
            questions.append((f"What happened last {talk[0].at:%A}?", mine))
    return found, questions


def _told(random: Random) -> Iterator[tuple[str, list[str]]]:
    """What the person says, and the questions it answers."""
    for say, ask in ERRANDS:
        yield say, [ask]
    for at in range(96):
        name, thing = PEOPLE[at % len(PEOPLE)], THINGS[(at * 7) % len(THINGS)]
        act, ask = ACTS[at // len(PEOPLE)]
        fill = {"name": name, "thing": thing, "sum": random.randrange(20, 900)}
        yield f"I {act.format(**fill)}.", [ask.format(**fill)]
    for at in range(40):
        code = str(UUID(int=random.getrandbits(128), version=4))
        short = f"{random.choice('ABCDEFGH')}{random.choice('KLMNP')}-{random.randrange(1000, 9999)}"
        thing = THINGS[at % len(THINGS)]
        if at % 2:
            yield f"The request for the {thing} has the number {code}.", [f"What is {code} about?"]
        else:
            yield f"The ticket of the {thing} is {short}.", [short, f"Which thing has the ticket {short}?"]
    for at in range(20):
        name, other = random.sample(PEOPLE, 2)
        words = ("never again before noon", "the moon owes me money", "soup is a state of mind", "bring your own bees")
        yield (
            f"{name} said: {words[at % 4]}, {other}.",
            [f'Who said "{words[at % 4]}, {other}"?'],
        )

"""What stands around a phrase: is it a subject, part of a list, followed by its place?"""

from kia.knowledge.graphs.chunks import Chunk, Cue, Item, is_normal
from kia.knowledge.graphs.lexicon import ANATOMY_ROLES, word_set

SELF_LOCATED = word_set("self_located")
PLACELESS = word_set("placeless") | {"air space", "air - space"}
VAGUE_PLACES = PLACELESS | {"pleural", "pulmonary"}


def says_normal(chunk: Chunk) -> bool:
    """Whether a predicate with its anatomy before it says that nothing is wrong."""
    first = chunk.units[0]
    return chunk.kind == "state" and first[2] in ANATOMY_ROLES and any(map(is_normal, chunk.heads))


def may_sit_apart(chunk: Chunk) -> bool:
    """Whether the place at the end of a list is that of an earlier member as well."""
    return all(p.head[2] == "side" or p.head[3] in VAGUE_PLACES for p in chunk.places)


def sits_elsewhere(chunk: Chunk) -> bool:
    """Whether a finding may sit at the anatomy of the clause around it."""
    own = all(p.head[2] == "side" or p.head[3] in PLACELESS for p in chunk.places)
    return own and chunk.heads[-1][3] not in SELF_LOCATED


def shares_head(chunk: Chunk, after: Item, following: Chunk) -> bool:
    """Whether an adjective narrows the head after it: "bony and soft tissue structures"."""
    masked = after.unit[0] != chunk.units[-1][1] + 1 if isinstance(after, Cue) else True
    if masked or not following.places or following.kind == "finding":
        return False
    place = following.places[0]
    roles = [unit[2] for unit in place.narrowing]
    return place.head[2] == "organ" and "attribute" not in roles and "adjective" in roles


def joined(found: list[Item], index: int) -> Chunk | None:
    """The chunk that a join or "to" links to the one at `index`."""
    position = index + 1
    while position < len(found) and position < index + 4:
        item = found[position]
        if isinstance(item, Chunk):
            return item if position > index + 1 else None
        if item.role != "join" and item.unit[3] not in ("to", "through"):
            return None
        position += 1
    return None


def place_follows(found: list[Item], index: int) -> bool:
    """Whether a place of its own follows the chunk at `index`."""
    following = found[index + 1 : index + 3]
    return (
        len(following) == 2
        and isinstance(following[0], Cue)
        and following[0].role == "place"
        and isinstance(following[1], Chunk)
        and following[1].kind == "anatomy"
    )


def leads(found: list[Item]) -> list[bool]:
    """Whether each chunk, with those joined to it, is the subject of a predicate that follows."""
    result = [False] * len(found)
    ahead = False  # whether the cues after the item at hand, up to a chunk, lead to a predicate
    for index in range(len(found) - 1, -1, -1):
        item = found[index]
        if isinstance(item, Chunk):
            result[index] = ahead
            ahead = ahead and item.kind == "anatomy"
        elif item.role in ("is", "has"):
            beyond = found[index + 1] if index + 1 < len(found) else None
            ahead = isinstance(beyond, Chunk) or (
                isinstance(beyond, Cue) and beyond.role in ("negation", "hedge", "suggests")
            )
        elif item.role not in ("join", "place"):
            ahead = False
    return result


def without_examination(found: list[Item]) -> list[Item]:
    """Leaves out what belongs to words about the examination: "lateral view of the chest"."""
    if not any(isinstance(item, Cue) and item.role == "examination" for item in found):
        return found
    kept: list[Item] = []
    index = 0
    while index < len(found):
        item = found[index]
        if isinstance(item, Cue) and item.role == "examination":
            if kept and isinstance(kept[-1], Chunk) and kept[-1].kind != "finding":
                kept.pop()
            following = found[index + 1] if index + 1 < len(found) else None
            if place_follows(found, index):
                index += 2
            elif isinstance(following, Chunk) and following.kind == "anatomy":
                index += following.only != "attribute"  # "AP chest", but not "AP diameter"
        kept.append(item)
        index += 1
    return kept

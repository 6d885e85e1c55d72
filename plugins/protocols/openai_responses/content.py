"""Parts of messages, in both directions. An item's own fields are on its first part, as `extra[ITEM]`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from plugin_sdk.artefacts import unseal
from plugin_sdk.errors import InvalidRequest
from plugin_sdk.text import (
    Artefact,
    Citation,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
)

ID: Final = "openai.responses"
ITEM: Final = "item"  # the fields of the item that begins with this part
RAW: Final = "raw"  # the whole of what would not be written as it was
SEALED: Final = "sealed"  # a reasoning item of ours: its thinking is another protocol's
ENCRYPTED: Final = "encrypted_content"
TEXTS: Final = frozenset({"input_text", "output_text", "text"})
_DATA = re.compile(r"data:([\w.+/-]+)(?:;[\w=.+-]+)*;base64,(.*)", re.DOTALL)


def read_content(raw: Any, path: str) -> tuple[Part, ...]:
    """The parts of a message's `content`, or of a tool's `output`."""
    if isinstance(raw, str):
        return (TextPart(text=raw, spelling="bare"),)
    if not isinstance(raw, list):
        raise InvalidRequest(f"`{path}` must be a string or a list.", param=path)
    return tuple(_part(part, f"{path}.{at}") for at, part in enumerate(raw))


def _part(raw: Any, path: str) -> Part:
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise InvalidRequest(f"`{path}` must be an object with a `type`.", param=path)
    rest = dict(raw)
    kind = rest.pop("type")
    if kind in TEXTS and isinstance(rest.get("text"), str):
        text = rest.pop("text")
        notes = rest.get("annotations")
        citations: tuple[Citation, ...] = ()
        if isinstance(notes, list) and notes and all(isinstance(note, dict) for note in notes):
            citations = tuple(citation(note) for note in rest.pop("annotations"))
        return TextPart(text=text, citations=citations, extra=rest, spelling=kind)
    if kind == "refusal" and isinstance(rest.get("refusal"), str):
        return RefusalPart(text=rest.pop("refusal"), extra=rest)
    media = {"input_image": _image, "input_file": _file, "input_audio": _audio, "input_video": _video}.get(
        kind
    )
    found = media(rest) if media is not None else None
    if found is None:
        return OpaquePart(kind=kind, value=raw)
    if _written(found, own=True, answered=False) != raw:
        return msgspec.structs.replace(found, extra={RAW: raw})
    return found


def _image(rest: dict[str, Any]) -> Part | None:
    url, file_id = rest.pop("image_url", None), rest.pop("file_id", None)
    detail = rest.pop("detail", None)
    if isinstance(url, dict):
        url = url.get("url")
    if not isinstance(url, str) and not isinstance(file_id, str):
        return None
    return _by_url("image", url, extra=rest, file_id=file_id, detail=detail)


def _file(rest: dict[str, Any]) -> Part | None:
    url, data, file_id = (rest.pop(name, None) for name in ("file_url", "file_data", "file_id"))
    name = rest.pop("filename", None)
    if isinstance(data, str):
        return _by_url("file", data, extra=rest, name=name, spelling="data")
    if isinstance(url, str) or isinstance(file_id, str):
        return _by_url("file", url, extra=rest, file_id=file_id, name=name)
    return None


def _audio(rest: dict[str, Any]) -> Part | None:
    inner = rest.pop("input_audio", rest)
    if not isinstance(inner, dict) or not isinstance(data := inner.get("data") or inner.get("url"), str):
        return None
    form = inner.get("format")
    if data.startswith(("http://", "https://")):
        return MediaPart(kind="audio", url=data, format=form)
    return MediaPart(
        kind="audio", data=data, format=form, extra={name: v for name, v in rest.items() if name != "data"}
    )


def _video(rest: dict[str, Any]) -> Part | None:
    inner = rest.pop("input_video", None) or rest.pop("video_url", None)
    url = inner.get("url") if isinstance(inner, dict) else inner
    return _by_url("video", url, extra=rest) if isinstance(url, str) else None


def _by_url(
    kind: Any, url: str | None, *, extra: Mapping[str, Any], spelling: str = "", **more: Any
) -> MediaPart:
    """Media by URL; a data URL is data. `spelling` remembers base64 that stood there bare."""
    more = {name: value if isinstance(value, str) else None for name, value in more.items()}
    found = None if url is None else _DATA.fullmatch(url)
    if found is not None:
        return MediaPart(kind=kind, data=found[2], mime=found[1], extra=extra, spelling=spelling, **more)
    if spelling == "data":
        return MediaPart(kind=kind, data=url, extra=extra, spelling="bare data", **more)
    return MediaPart(kind=kind, url=url, extra=extra, spelling=spelling, **more)


def citation(note: Mapping[str, Any]) -> Citation:
    """An annotation."""
    return Citation(
        kind=str(note.get("type")),
        url=note.get("url") if isinstance(note.get("url"), str) else None,
        title=note.get("title") or note.get("filename"),
        start=note.get("start_index") if isinstance(note.get("start_index"), int) else None,
        end=note.get("end_index") if isinstance(note.get("end_index"), int) else None,
        native=note,
    )


def annotation(one: Citation, *, own: bool) -> dict[str, Any]:
    """A citation as an annotation."""
    if own and isinstance(one.native, dict):
        return one.native
    return {
        "type": "url_citation",
        "url": one.url or "",
        "title": one.title or "",
        "start_index": one.start or 0,
        "end_index": one.end or 0,
    }


def listed(value: Any) -> list[Any]:
    """A list, or an empty one in the place of anything else."""
    return value if isinstance(value, list) else []


def read_reasoning(item: Mapping[str, Any]) -> list[ReasoningPart]:
    """A reasoning item: its texts as parts, what is encrypted on the first of them."""
    rest = {
        name: value for name, value in item.items() if name not in ("type", "summary", "content", ENCRYPTED)
    }
    ours = False
    parts = [
        ReasoningPart(text=str(part.get("text", "")), summary=field == "summary", spelling=field)
        for field in ("summary", "content")
        for part in listed(item.get(field))
        if isinstance(part, dict)
    ]
    if not parts:
        parts = [ReasoningPart(text="")]
    sealed = item.get(ENCRYPTED)
    artefacts: tuple[Artefact, ...] = ()
    if isinstance(sealed, str) and sealed:
        found = unseal(sealed)
        if found is None:
            artefacts = (
                Artefact(origin=ID, kind=ENCRYPTED, value={"id": item.get("id"), ENCRYPTED: sealed}),
            )
        else:
            ours = True
            artefacts = tuple(one.artefact for one in found if one.call_id is None)
    elif ENCRYPTED in item:
        rest[ENCRYPTED] = sealed
    empty = [field for field in ("summary", "content") if field in item and not item[field]]
    if ours and not artefacts and not any(part.text for part in parts):
        return []  # it carried what belongs to a call
    notes: dict[str, Any] = {SEALED: True} if ours else {ITEM: {**rest, **({_EMPTY: empty} if empty else {})}}
    parts[0] = msgspec.structs.replace(parts[0], artefacts=artefacts, extra={ITEM: {}, **notes})
    if not ours and write_reasoning(parts, own=True) != item:
        parts[0] = msgspec.structs.replace(parts[0], extra={ITEM: {}, RAW: item})
    return parts


def write_reasoning(parts: Sequence[ReasoningPart], *, own: bool) -> dict[str, Any] | None:
    """The reasoning item of parts that were one; None where this protocol would not take it back."""
    notes = parts[0].extra if own else {}
    if RAW in notes:
        return dict(notes[RAW])
    mine = next((a for part in parts for a in part.artefacts if encrypted(a)), None)
    if mine is None and (not own or SEALED in notes or ITEM not in notes):
        return None
    fields = dict(notes.get(ITEM) or {})
    item: dict[str, Any] = {"type": "reasoning", **{name: v for name, v in fields.items() if name != _EMPTY}}
    if mine is not None:
        if mine.value.get("id") is not None:
            item["id"] = mine.value["id"]
        item[ENCRYPTED] = mine.value[ENCRYPTED]
    for name in fields.get(_EMPTY, ()):
        item[name] = item.get(name) if item.get(name) is not None else []
    item.setdefault("summary", [])
    for part in parts:
        if part.text or part.spelling:
            content = part.spelling == "content" and own
            kind = "reasoning_text" if content else "summary_text"
            where = "content" if content else "summary"
            if not isinstance(item.get(where), list):
                item[where] = []
            item[where] = [*item[where], {"type": kind, "text": part.text}]
    return item


def encrypted(artefact: Artefact) -> bool:
    """Whether it is encrypted reasoning of this protocol."""
    return artefact.origin == ID and artefact.kind == ENCRYPTED


def write_content(parts: Sequence[Part], *, own: bool, answered: bool) -> Any:
    """The `content` of a message; `answered` if it is the model's own."""
    if own and len(parts) == 1 and isinstance(parts[0], TextPart) and parts[0].spelling == "bare":
        return parts[0].text
    return [written for part in parts if (written := _written(part, own=own, answered=answered)) is not None]


def _written(part: Part, *, own: bool, answered: bool) -> dict[str, Any] | None:
    if own and RAW in part.extra:
        return dict(part.extra[RAW])
    extra = {name: value for name, value in part.extra.items() if name != ITEM} if own else {}
    if isinstance(part, TextPart):
        usual = "output_text" if answered else "input_text"
        kind = part.spelling if own and part.spelling in TEXTS else usual
        found: dict[str, Any] = {"type": kind, "text": part.text, **extra}
        if part.citations and own:
            found["annotations"] = [annotation(one, own=own) for one in part.citations]
        elif kind == "output_text" and not own:
            found["annotations"] = []
        return found
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "refusal": part.text, **extra}
    if isinstance(part, MediaPart):
        return {**_media(part), **extra}
    if isinstance(part, OpaquePart):
        return dict(part.value) if own else None
    return None


def _media(part: MediaPart) -> dict[str, Any]:
    url = part.url
    if part.data is not None and part.kind != "audio":
        bare = part.spelling == "bare data"
        url = part.data if bare else f"data:{part.mime or _MIMES[part.kind]};base64,{part.data}"
    if part.kind == "audio":
        found: dict[str, Any] = {"data": part.data} if part.data is not None else {"url": part.url}
        form = part.format or (part.mime or "audio/wav").rpartition("/")[2]
        return {"type": "input_audio", "input_audio": {**found, "format": form}}
    if part.kind == "image":
        names = {"image_url": url, "file_id": part.file_id, "detail": part.detail}
        return {"type": "input_image", **{name: value for name, value in names.items() if value is not None}}
    if part.kind == "video":
        return {"type": "input_video", "video_url": url}
    field = "file_data" if part.data is not None else "file_url"
    names = {field: url, "file_id": part.file_id, "filename": part.name}
    if part.data is not None and part.name is None:
        names["filename"] = "document"  # it is asked for beside data
    return {"type": "input_file", **{name: value for name, value in names.items() if value is not None}}


_EMPTY: Final = "empty"  # the lists of a reasoning item that held nothing
_MIMES: Final = {"image": "image/png", "file": "application/pdf", "video": "video/mp4"}

"""What a person says about the objects that a phase works on, by options: -n, -l and --for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nimble_watch.scope.evidence import Evidence, Selected, labels_of, named_objects


def from_options(namespace: str, selector: str, objects: Iterable[str]) -> Iterator[Evidence]:
    """Read the options; a namespace alone means everything in it, labels or objects narrow that down.

    Raises ValueError, with what is wrong in words, for what cannot be read: half of it would select too much.
    """
    given = list(objects)
    if selector:
        labels = labels_of(selector)
        if not labels:
            raise ValueError(f"-l {selector} cannot be read; labels are written as a=b,c=d")
        yield Selected(labels, "", namespace)
    for word in given:
        found = list(named_objects([word], namespace))
        if not found:
            raise ValueError(f"--for {word} cannot be read; objects are written as deployment/nim")
        yield from found
    if namespace and not selector and not given:
        yield Selected((), "", namespace)

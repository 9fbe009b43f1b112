"""The numbers that official codes were given: none is given again."""

from __future__ import annotations

from sqlalchemy.orm import Session

from catalog_registry.store.tables import CodeSequence
from schemas.catalogue import read_code


def count_code(session: Session, code: str) -> None:
    """Keep the number of a code from being given again; a code of another form has none."""
    found = read_code(code)
    if found is None:
        return
    prefix, number = found
    counted = session.get(CodeSequence, prefix)
    if counted is None:
        session.add(CodeSequence(prefix=prefix, last=number))
    else:
        counted.last = max(counted.last, number)

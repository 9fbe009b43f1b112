"""Commands of correction requests 异议: ``onedoor correction …``."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.applications import Remark, Seen, Who, Why, _clock_text, _due, _left, _steps_table, _waited_for
from console.cli.hub import local as _local
from console.cli.hub import opened as _hub
from console.cli.output import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog_registry.correction_records import CorrectionRecord, NoticeRecord
    from catalog_registry.records import StepRecord
    from catalog_registry.registry import Registry
    from catalog_registry.step_clock import StepClock
    from exchange.bootstrap import Hub
    from exchange.corrections.row import AnsweredRow
    from exchange.corrections.words import Words

Id = Annotated[str, typer.Argument(help="Id of the correction request.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="What users of data say is wrong, and what became of it.", no_args_is_help=True)
    for command in (
        correction_add,
        correction_list,
        correction_show,
        correction_accept,
        correction_refuse,
        correction_contest,
        correction_uphold,
        correction_overrule,
        correction_hand_over,
        correction_withdraw,
        correction_resolve,
        correction_late,
        correction_notices,
        correction_acknowledge,
    ):
        group.command(command.__name__.partition("_")[2].replace("_", "-"))(command)
    app.add_typer(group, name="correction")


def correction_add(
    resource: Annotated[str, typer.Argument(help="The resource.")],
    who: Who,
    content: Annotated[str, typer.Option(help="What is wrong; kept sealed. - reads it from standard input.")],
    kind: Annotated[str, typer.Option("--type", help="1 信息有误 wrong, 2 数据质量 quality, 3 其他 other.")] = "1",
    row: Annotated[
        list[str] | None,
        typer.Option(help="The row's key: licence_id=L1; give it again for each field. Default: the whole resource."),
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(help="Instead of a key: the look-up that gave the row, its receipt and which licence: CHAIN/N/1."),
    ] = None,
    field: Annotated[list[str] | None, typer.Option(help="A field that is wrong; give it again for more.")] = None,
    evidence: Annotated[str | None, typer.Option(help="What shows it, or where that is; kept sealed.")] = None,
    as_json: Json = False,
) -> None:
    """Ask that a row, or a whole resource, be corrected, in the name of the principal's department.

    A key that names a person is better read from a file than written on the command line: --row citizen_id=@id.txt

    Example: onedoor correction add licences --as li.na --row licence_id=L1 --field valid_to --content '有效期与原件不符'
    """
    from exchange.corrections.ask import prepared_correction

    with _hub() as hub:
        prepared = prepared_correction(
            hub,
            resource,
            department=hub.registry.principal(who).department,
            type_=kind,
            content=typer.get_text_stream("stdin").read() if content == "-" else content,
            evidence=evidence,
            fields=field or (),
            row=_key(row),
            answer=_answer(answer),
        )
        made = prepared.ask(hub.registry, by=who)
        output.show(_told(made, None), as_json=as_json, text=f"correction {made.id} asked for; {made.assigned} answers it")


def correction_list(
    state: Annotated[str | None, typer.Option(help="Only those in a state, such as accepted.")] = None,
    resource: Annotated[str | None, typer.Option(help="Only those of a resource.")] = None,
    department: Annotated[str | None, typer.Option(help="Only those that a department asked for.")] = None,
    assigned: Annotated[str | None, typer.Option(help="Only those that a department is to answer or correct.")] = None,
    as_json: Json = False,
) -> None:
    """List the correction requests, oldest first, each with the clock of the step that it waits for.

    Example: onedoor correction list --state accepted --assigned market
    """
    from catalog_registry.correction_words import CorrectionState

    if state is not None and state not in set(CorrectionState):
        raise typer.BadParameter(f"{state[:40]!r} is no state: {', '.join(CorrectionState)}")
    wanted = None if state is None else CorrectionState(state)
    with _hub() as hub:
        found = hub.registry.corrections(state=wanted, resource=resource, department=department, assigned=assigned)
        rows = _clocked(hub, found)
        output.show(
            [_told(c, clock) for c, clock in rows],
            as_json=as_json,
            text=lambda: output.table(
                ("correction", "resource", "row", "fields", "type", "asked by", "state", "assigned", "made", "due", "left"),
                [
                    (
                        c.id,
                        c.resource,
                        _row_text(c),
                        ", ".join(c.fields),
                        _type_text(c),
                        c.department,
                        c.state.value,
                        c.assigned,
                        _local(c.made_at),
                        _due(clock),
                        _left(clock),
                    )
                    for c, clock in rows
                ],
            ),
        )


def correction_show(
    correction: Id,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show what was written; needs --reason, and the ledger records it.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why it is looked at.")] = None,
    as_json: Json = False,
) -> None:
    """Show a correction request: how far it is, by when, who received the row, what was done, the row's hash before and after.

    Example: onedoor correction show k01m6cwacm06h4yrfjgdy41 --reveal --reason 'the provider corrects it'
    """
    if reveal and not (reason or "").strip():
        raise typer.BadParameter("--reveal needs --reason, which the ledger records")
    with _hub() as hub:
        found = hub.registry.correction(correction)
        ((_, clock),) = _clocked(hub, [found])
        steps, told = hub.registry.correction_history(correction), hub.registry.correction_notices(correction=correction)
        words = _revealed(hub, found, reason or "") if reveal else None
        shown = None if words is None else {"content": words.content, "evidence": words.evidence, "key": words.key}
        value = {"correction": _told(found, clock), "words": shown, "notices": told, "history": steps}
        output.show(value, as_json=as_json, text=lambda: _correction_text(found, clock, words, told, steps, hub))


def correction_accept(correction: Id, who: Who, why: Remark = "", version: Seen = None, as_json: Json = False) -> None:
    """Say, for the provider, that it is wrong: a work order, open until a later run shows the change.

    Example: onedoor correction accept k01m6cwacm06h4yrfjgdy41 --as zhang.wei
    """
    _step("accept", correction, who, why, version, as_json, lambda c: f"is accepted; {c.assigned} corrects it")


def correction_refuse(correction: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Say, for the provider, that it is right, and why.

    Example: onedoor correction refuse k01m6cwacm06h4yrfjgdy41 --as zhang.wei --why '与原件一致'
    """
    _step("refuse", correction, who, why, version, as_json)


def correction_contest(correction: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Have the centre look at a refusal, for the department that asked.

    Example: onedoor correction contest k01m6cwacm06h4yrfjgdy41 --as li.na --why 'the paper says otherwise'
    """
    _step("contest", correction, who, why, version, as_json, lambda c: "is contested; the centre decides it")


def correction_uphold(correction: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Decide, for the centre, that a contested refusal stands.

    Example: onedoor correction uphold k01m6cwacm06h4yrfjgdy41 --as centre.officer --why 'both papers were seen'
    """
    _step("uphold", correction, who, why, version, as_json)


def correction_overrule(correction: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Decide, for the centre, that what was refused is to be corrected.

    Example: onedoor correction overrule k01m6cwacm06h4yrfjgdy41 --as centre.officer --why 'the paper is right'
    """
    _step("overrule", correction, who, why, version, as_json, lambda c: f"is overruled; {c.assigned} corrects it")


def correction_hand_over(
    correction: Id,
    department: Annotated[str, typer.Argument(help="Code of the department that is to answer or correct it.")],
    who: Who,
    why: Why,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Have another department answer or correct it, for the centre.

    Example: onedoor correction hand-over k01m6cwacm06h4yrfjgdy41 tax --as centre.officer --why 'the data moved'
    """

    def act(registry: Registry, seen: int, said: str) -> CorrectionRecord:
        return registry.hand_over_correction(correction, department, by=who, version=seen, why=said)

    _take(act, correction, why, version, as_json, lambda c: f"is handed over to {c.assigned}")


def correction_withdraw(correction: Id, who: Who, why: Remark = "", version: Seen = None, as_json: Json = False) -> None:
    """Take a request back, for the department that asked.

    Example: onedoor correction withdraw k01m6cwacm06h4yrfjgdy41 --as li.na
    """
    _step("withdraw", correction, who, why, version, as_json)


def correction_resolve(
    correction: Id,
    who: Who,
    why: Why,
    run: Annotated[
        str | None, typer.Option(help="The run that brought the correction; default: the newest proved one.")
    ] = None,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Close, for the provider, what no row hash can prove: a whole resource, or a row whose contract has other fields since.

    Example: onedoor correction resolve k01m6cwacm06h4yrfjgdy41 --as zhang.wei --why '全部重新采集'
    """
    from exchange.corrections.row import proved_run

    def act(registry: Registry, seen: int, said: str) -> CorrectionRecord:
        named = proved_run(hub, registry.correction(correction).resource, run)
        return registry.resolve_correction(correction, named, by=who, version=seen, why=said)

    with _hub() as hub:
        _take(act, correction, why, version, as_json, lambda c: f"is closed by run {c.run_after}", hub=hub)


def correction_late(as_json: Json = False) -> None:
    """List what should have been answered, decided or corrected by now, by who has it, the longest late first.

    Example: onedoor correction late
    """
    from catalog_registry.step_clock import late_first

    with _hub() as hub:
        late = late_first(_clocked(hub, hub.registry.corrections(waiting=True)))
        output.show(
            [_told(c, clock) for c, clock in late],
            as_json=as_json,
            text=lambda: (
                output.table(
                    ("waits for", "correction", "resource", "row", "asked by", "state", "since", "due", "left", "rule"),
                    [
                        (
                            _waited_for(clock),
                            c.id,
                            c.resource,
                            _row_text(c),
                            c.department,
                            c.state.value,
                            _local(clock.began),
                            _due(clock),
                            _left(clock),
                            clock.rule,
                        )
                        for c, clock in late
                    ],
                )
                if late
                else "nothing is late"
            ),
        )


def correction_notices(
    department: Annotated[str | None, typer.Option(help="Only those to a department.")] = None,
    correction: Annotated[str | None, typer.Option(help="Only those of a correction request.")] = None,
    unread: Annotated[bool, typer.Option("--unread", help="Only those that nobody acknowledged.")] = False,
    as_json: Json = False,
) -> None:
    """List what departments were told: something that they received is wrong, or was corrected.

    Example: onedoor correction notices --department civil --unread
    """
    with _hub() as hub:
        found = hub.registry.correction_notices(department=department, correction=correction, unread=unread)
        output.show(found, as_json=as_json, text=lambda: _notices_table(found))


def correction_acknowledge(
    notice: Annotated[str, typer.Argument(help="Id of the notice.")], who: Who, as_json: Json = False
) -> None:
    """Say, for the department that was told, that the notice was read.

    Example: onedoor correction acknowledge n01m6cwacm06h4yrfjgdy41 --as li.na
    """
    with _hub() as hub:
        done = hub.registry.acknowledge_correction(notice, by=who)
        output.show(done, as_json=as_json, text=f"notice {done.id} is acknowledged")


# What the commands share ---------------------------------------------------------------------------------------------


def _step(
    event: str,
    correction: str,
    who: str,
    why: str,
    version: int | None,
    as_json: bool,
    said: Callable[[CorrectionRecord], str] = lambda c: f"is {c.state}",
) -> None:
    def act(registry: Registry, seen: int, reason: str) -> CorrectionRecord:
        done: CorrectionRecord = getattr(registry, f"{event}_correction")(correction, by=who, version=seen, why=reason)
        return done

    _take(act, correction, why, version, as_json, said)


def _take(
    act: Callable[[Registry, int, str], CorrectionRecord],
    correction: str,
    why: str,
    version: int | None,
    as_json: bool,
    said: Callable[[CorrectionRecord], str],
    *,
    hub: Hub | None = None,
) -> None:
    """Take a step on the version that was decided on; where nobody said, on the one that is there."""
    from exchange.corrections.words import check_reason

    if hub is None:
        with _hub() as opened:
            _take(act, correction, why, version, as_json, said, hub=opened)
        return
    seen = hub.registry.correction(correction).version if version is None else version
    done = act(hub.registry, seen, check_reason(why))
    output.show(_told(done, None), as_json=as_json, text=f"correction {done.id} {said(done)}")


def _key(given: list[str] | None) -> dict[str, str] | None:
    """Return the key of a row as it was given: ``field=value``, or ``field=@file``."""
    if given is None:
        return None
    key = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise typer.BadParameter("a row is named by field=value, or field=@file", param_hint="--row")
        key[name] = _read(value[1:]) if value.startswith("@") else value
    return key


def _answer(given: str | None) -> AnsweredRow | None:
    """Return the look-up and the place in it that name a row."""
    from exchange.corrections.row import AnsweredRow

    if given is None:
        return None
    chain, _, rest = given.partition("/")
    n, _, place = rest.partition("/")
    if not (chain and n.isascii() and n.isdigit() and (place or "1").isascii() and (place or "1").isdigit()):
        raise typer.BadParameter("an answer is named by CHAIN/N, or CHAIN/N/PLACE", param_hint="--answer")
    return AnsweredRow(chain, int(n), int(place or "1"))


def _read(file: str) -> str:
    from pathlib import Path

    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise typer.BadParameter("the file of a key cannot be read", param_hint="--row") from None


def _revealed(hub: Hub, found: CorrectionRecord, reason: str) -> Words:
    """Open what was written, after the ledger has recorded who looks and why."""
    from msgspec.structs import replace

    from exchange.corrections.row import opened_key
    from exchange.corrections.words import open_words
    from exchange.trust.ledger import Ledger
    from exchange.trust.record import LedgerRecord
    from schemas.ids import new_id

    record = LedgerRecord(
        kind="correction.read",
        outcome="done",
        operator=getpass.getuser(),
        resource=found.resource,
        manifest={"correction": found.id},
        reason=reason,
    )
    Ledger.open(hub.connect, hub.keys, hub.clock, new_id("cli-", hub.clock.now())).append([record])
    words = open_words(found, hub.keys)
    return words if words.key is not None or found.row is None else replace(words, key=opened_key(hub, found))


def _clocked(hub: Hub, found: Sequence[CorrectionRecord]) -> list[tuple[CorrectionRecord, StepClock | None]]:
    """Return requests with the clocks of the steps that they wait for."""
    from catalog_registry.correction_life import clock_of

    now = hub.clock.now()
    return [(c, clock_of(c, rules=hub.clock_rules, of=hub.workdays, now=now)) for c in found]


def _told(correction: CorrectionRecord, clock: StepClock | None) -> dict[str, Any]:
    hidden = ("row_key", "sealed", "let_through", "contract_version")
    return {n: getattr(correction, n) for n in correction.__dataclass_fields__ if n not in hidden} | {"clock": clock}


def _row_text(correction: CorrectionRecord | NoticeRecord) -> str:
    return correction.row or "all"


def _type_text(correction: CorrectionRecord) -> str:
    from catalog_registry.correction_words import TYPE_WORDS

    return f"{correction.type.value} {TYPE_WORDS[correction.type]}"


def _correction_text(
    found: CorrectionRecord,
    clock: StepClock | None,
    words: Words | None,
    told: Sequence[NoticeRecord],
    steps: Sequence[StepRecord],
    hub: Hub,
) -> Any:
    from rich.console import Group

    sealed = "sealed; add --reveal --reason '…' to see it, which the ledger records"
    shown = {
        "correction": found.id,
        "state": f"{found.state} (version {found.version})" + (f", {found.outcome}" if found.outcome else ""),
        "resource": found.resource,
        "row": _row_text(found),
        "fields": ", ".join(found.fields) or "not said",
        "type": _type_text(found),
        "asked by": found.department,
        "content": sealed if words is None else words.content,
        "evidence": sealed if words is None else words.evidence or "-",
        "key": sealed if words is None else ", ".join(f"{n}={v}" for n, v in (words.key or {}).items()) or "-",
        "assigned": found.assigned,
        "waits for": _clock_text(clock),
        "before": f"{found.hash_before or 'no such row'} of {found.run_before}"
        if found.row
        else f"run {found.run_before or '-'}",
        "after": "-" if found.run_after is None else f"{found.hash_after or found.outcome} of {found.run_after}",
    }
    lines = "\n".join(f"{name:<12}{value}" for name, value in shown.items())
    return Group(lines, "", _notices_table(told), "", _steps_table(steps, hub))


def _notices_table(found: Sequence[NoticeRecord]) -> Any:
    return output.table(
        ("notice", "correction", "told", "what", "sure", "resource", "row", "times", "last", "at", "acknowledged"),
        [
            (
                n.id,
                n.correction,
                n.department,
                n.kind.value,
                "yes" if n.certain else "may have",
                n.resource,
                _row_text(n),
                str(n.detail.get("times", "")),
                str(n.detail.get("last_at", ""))[:16],
                _local(n.at),
                "" if n.acknowledged_at is None else _local(n.acknowledged_at),
            )
            for n in found
        ],
    )

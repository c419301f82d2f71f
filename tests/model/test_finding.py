"""In which order findings are to be acted on."""

from ops_lib.model.finding import Finding, Remedy, Severity, ranked, roots, worst


def finding(subject: str, severity: Severity = Severity.WARNING, **more: object) -> Finding:
    """A finding about a subject."""
    remedy = Remedy(text="Do something.")
    fields = {"check": "c", "cause": "missing-index", "summary": subject, "remedy": remedy, **more}
    return Finding(subject=subject, severity=severity, **fields)


def test_severity_comes_before_weight() -> None:
    """A critical finding is acted on before a warning that costs more."""
    order = ranked([finding("a", weight=0.9), finding("b", Severity.CRITICAL, weight=0.1)])
    assert [(f.subject, f.rank) for f in order] == [("b", 1), ("a", 2)]


def test_a_cause_comes_before_what_it_explains() -> None:
    """A symptom never ranks above a root, however severe it looks."""
    order = ranked([finding("slow", Severity.CRITICAL), finding("index", symptoms=("c:slow",)), finding("other")])
    assert [f.subject for f in order] == ["index", "other", "slow"]
    assert order[0].severity is Severity.CRITICAL, "the cause takes the severity of what it explains"
    assert [f.subject for f in roots(order)] == ["index", "other"]


def test_the_same_key_is_kept_once_as_last_seen() -> None:
    """Two cells that find the same thing make one finding."""
    order = ranked([finding("a", summary="old"), finding("a", summary="new")])
    assert [f.summary for f in order] == ["new"]


def test_a_finding_survives_json() -> None:
    """What a record holds can be read back."""
    original = ranked([finding("a", evidence={"rows": 3}, symptoms=("c:b",))])[0]
    assert Finding.from_json(original.to_json()) == original


def test_worst_of_nothing_is_nothing() -> None:
    """Without findings there is no severity."""
    assert worst([]) is None
    assert worst([finding("a"), finding("b", Severity.INFO)]) is Severity.WARNING

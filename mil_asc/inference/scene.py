"""What a classifier says of a recording, as plain data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Instance:
    """One stretch of a recording: ``start`` and ``end`` (in seconds), its most confident class and that confidence.

    ``positive`` is True where that class is the one decided for the recording; ``scores`` has the
    confidence of every class.
    """

    start: float
    end: float
    label: str
    confidence: float
    positive: bool
    scores: dict[str, float]


@dataclass(frozen=True)
class Scene:
    """The class decided for a recording, the scores of all classes under each decision rule, and the instances.

    ``scores["smi"]`` and ``scores["bag"]`` are bag confidences (0 to 1 each) by maximum and by the model's pooling,
    ``scores["cmi"]`` shares of instances, which sum to 1. ``label`` is the class decided under the rule ``assumption``:
    no other has a greater score, but scores may tie where the underlying logits and counts do not.
    """

    label: str
    assumption: str
    scores: dict[str, dict[str, float]]
    instances: list[Instance]

    def present(self, theta: int = 1, tau: float = 0.5) -> list[str]:
        """Classes present under TMI: those with at least ``theta`` >= 1 instances of confidence ``tau`` or more.

        ``tau`` lies between 0 and 1. There may be several such classes, or none.
        """
        if theta < 1 or not 0 < tau < 1:
            raise ValueError(f"theta must be at least 1 and tau between 0 and 1, got {theta} and {tau}")
        counts = {label: sum(i.scores[label] >= tau for i in self.instances) for label in self.scores["smi"]}
        return [label for label, count in counts.items() if count >= theta]

    def __str__(self) -> str:
        best = self.scores[self.assumption][self.label]
        positive = [instance for instance in self.instances if instance.positive]
        strongest = sorted(positive, key=lambda instance: -instance.confidence)[:3]
        moments = ", ".join(f"{i.start:.2f}-{i.end:.2f} s ({i.confidence:.2f})" for i in strongest) or "none"
        return (
            f"{self.label} ({self.assumption.upper()} {best:.2f}); "
            f"{len(positive)} of {len(self.instances)} instances positive; strongest: {moments}"
        )

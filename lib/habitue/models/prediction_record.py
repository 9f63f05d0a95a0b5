"""What is kept of a prediction model beside its pipelines: the recipe that scores, what it was tested on, and the figures."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar

from habitue.models.propensity import FeatureSet, Recipe


@dataclass(frozen=True)
class PredictionRecord:
    """The champion of one snapshot, fitted on everything whose label was known by then.

    as_of: the snapshot that it scores. recipe: the champion's. challenger: the best on the validation rows, where it is
    another. tested_on: first day of the test rows; no figure is of rows that the tested models had seen. document: of
    `Propensity.to_json`. folder: where the pipelines are. evaluations: rows of the evaluation table, plain values.
    ends_promotion: the challenger took over from a model that was promoted by hand. takes_over: it scores this snapshot;
    of a challenger that was not good enough, it does not, and is kept as it was tested.
    """

    as_of: date
    recipe: Recipe
    challenger: Recipe | None
    tested_on: date
    rows: int
    features: FeatureSet
    document: str
    folder: str
    evaluations: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()
    ends_promotion: bool = False
    takes_over: bool = True
    text_files: dict[str, str] = field(default_factory=dict)

    scorer: ClassVar[str] = "habitue.models.propensity_scorer"

    @property
    def trained_as_of(self) -> date:
        return self.as_of

    @property
    def inputs(self) -> list[str]:
        return list(self.features.numeric)

    @property
    def text_inputs(self) -> list[str]:
        return list(self.features.text)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Of the recipe, by names that MLflow shows beside the settings."""
        return {"recipe.kind": self.recipe.kind, **{f"recipe.{k}": v for k, v in self.recipe.parameters.items()}}

    @property
    def pipelines(self) -> str | None:
        """The folder of the trees; None of a regression, whose document scores alone."""
        return self.folder if self.recipe.kind == "gbt" else None

    @property
    def trained_on(self) -> str:
        return f"{self.rows:,} rows whose labels were known before {self.as_of}; recipe {self.recipe.name}"

    def figures(self) -> dict[str, float]:
        """Those of every tested model, by name; the chosen one's also without it."""
        found: dict[str, float] = {}
        names = (
            "auc",
            "average_precision",
            "brier",
            "base_rate",
            "lift_ratio",
            "lift_low",
            "lift_high",
            "calibration_error",
        )
        for row in self.evaluations:
            label = _metric_name(row)
            found |= {f"{label}.{n}": float(row[n]) for n in names if row[n] is not None}
            if row["is_chosen"] and row["left_out_source"] is None and row["is_whole_population"]:
                found |= {n: float(row[n]) for n in names if row[n] is not None}
        return found

    def files(self) -> dict[str, str]:
        return {"evaluation.json": json.dumps(self.evaluations, indent=1, default=str), **self.text_files}

    def to_json(self) -> str:
        values = {
            "as_of": self.as_of.isoformat(),
            "recipe": self.recipe.to_dict(),
            "challenger": self.challenger.to_dict() if self.challenger else None,
            "tested_on": self.tested_on.isoformat(),
            "rows": self.rows,
            "features": self.features.to_dict(),
            "document": self.document,
            "folder": self.folder,
            "evaluations": self.evaluations,
            "notes": self.notes,
        }
        return json.dumps(values, ensure_ascii=False, sort_keys=True, default=str)

    @classmethod
    def from_json(cls, text: str) -> PredictionRecord:
        values = json.loads(text)
        return cls(
            as_of=date.fromisoformat(values["as_of"]),
            recipe=Recipe.from_dict(values["recipe"]),
            challenger=Recipe.from_dict(values["challenger"]) if values["challenger"] else None,
            tested_on=date.fromisoformat(values["tested_on"]),
            rows=values["rows"],
            features=FeatureSet.from_dict(values["features"]),
            document=values["document"],
            folder=values["folder"],
            evaluations=tuple(values["evaluations"]),
            notes=tuple(values["notes"]),
        )


def _metric_name(row: dict[str, Any]) -> str:
    """A name that MLflow takes: letters, digits, dots, dashes, spaces."""
    parts = [row["model"], "" if row["is_whole_population"] else "below the threshold"]
    parts.append(f"without {row['left_out_source']}" if row["left_out_source"] else "")
    return ", ".join(p for p in parts if p).replace(",", "")

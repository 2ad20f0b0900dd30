"""What is made of a catalogue's marks of moderation: their own actions, or others in place of these."""

from collections.abc import Mapping

import duckdb

from steersman_catalog.rows import Action, Subject

Verdicts = Mapping[tuple[Subject, str], Action | None]
"""The action for a subject of a category; None: as if it were not marked. What is left out keeps its own."""

MARKS = """
CREATE TABLE memory.main.marks AS
SELECT subject, id, feature, category, coalesce(verdict, action) AS action, evidence, source
FROM catalog.moderation LEFT JOIN memory.main.verdicts USING (subject, category)
WHERE verdict IS DISTINCT FROM 'none'
"""

MARKED = """
SELECT feature, list(DISTINCT category ORDER BY category) AS categories FROM memory.main.marks
WHERE subject = 'feature' OR subject = 'label' AND id IN (SELECT label FROM labels WHERE shown)
GROUP BY feature ORDER BY feature
"""


def make_marks(db: duckdb.DuckDBPyConnection, verdicts: Verdicts) -> None:
    """Fill `memory.main.marks`, which all queries read, from the catalogue's table `moderation`."""
    db.execute("CREATE TABLE memory.main.verdicts (subject VARCHAR, category VARCHAR, verdict VARCHAR)")
    for (subject, category), action in verdicts.items():
        db.execute("INSERT INTO memory.main.verdicts VALUES (?, ?, ?)", (subject, category, action or "none"))
    db.execute(MARKS)

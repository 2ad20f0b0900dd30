"""What must be true of a catalogue before anybody reads it."""

import duckdb

RULES = {
    "features are numbered from 0 without a gap": """
        SELECT count(*), max(feature) FROM features HAVING count(*) = 0 OR max(feature) <> count(*) - 1""",
    "a feature shows at most one label": """
        SELECT feature FROM labels WHERE shown GROUP BY feature HAVING count(*) > 1""",
    "labels have ids of their own": "SELECT label FROM labels GROUP BY label HAVING count(*) > 1",
    "examples have ids of their own": "SELECT example FROM examples GROUP BY example HAVING count(*) > 1",
    "labels are of features": "SELECT label, feature FROM labels ANTI JOIN features USING (feature)",
    "words are of features": "SELECT feature, text FROM words ANTI JOIN features USING (feature)",
    "a parent is a label of the same feature": """
        SELECT labels.label, labels.parent FROM labels ANTI JOIN labels AS older
            ON labels.parent = older.label AND labels.feature = older.feature
        WHERE labels.parent IS NOT NULL""",
    "examples are of features": "SELECT example, feature FROM examples ANTI JOIN features USING (feature)",
    "an example lies within its passage": """
        SELECT example FROM examples LEFT JOIN passages USING (passage)
        WHERE passages.passage IS NULL OR examples.start < 0 OR examples.start + length > len(tokens)
            OR peak NOT BETWEEN 0 AND length - 1 OR len(places) <> len(activations)""",
    "an example either fires, with a stratum, or is silent, with a tier": """
        SELECT example FROM examples
        WHERE (len(places) > 0) <> (stratum IS NOT NULL) OR (stratum IS NULL) <> (tier IS NOT NULL)""",
    "tokens have a text": """
        SELECT token
        FROM (SELECT DISTINCT unnest(tokens) AS token FROM passages UNION SELECT token FROM logits)
        ANTI JOIN vocabulary USING (token)""",
    "all of a document is in one split": """
        SELECT document FROM passages GROUP BY document HAVING count(DISTINCT split) > 1""",
    "labels are made from examples of the explain split": """
        SELECT label, example FROM (SELECT label, unnest(examples) AS example FROM labels)
        JOIN examples USING (example) JOIN passages USING (passage) WHERE split <> 'explain'""",
    "tiles have ids of their own": "SELECT tile FROM tiles GROUP BY tile HAVING count(*) > 1",
    "a tile lies within its passage": """
        SELECT tile FROM tiles LEFT JOIN passages USING (passage)
        WHERE passages.passage IS NULL OR tiles.start < 0 OR tiles.start + length > len(tokens)""",
    "a test has questions once, and of each its tiles, target, tier and stratum": """
        SELECT feature, test FROM questions
        GROUP BY feature, test, split
        HAVING count(*) > 1 OR bool_or(len(tiles) <> options * len(targets) OR len(tiers) <> len(targets)
            OR len(strata) <> len(targets) OR len(others) <> len(tiles) OR len(marked) <> len(targets))""",
    "trials are put with tiles of their own split, never the explain split": """
        SELECT test, feature, tile
        FROM (SELECT test, feature, split, unnest(tiles) AS tile FROM questions) AS asked
        LEFT JOIN tiles USING (tile) LEFT JOIN passages USING (passage)
        WHERE asked.split IS DISTINCT FROM passages.split OR asked.split = 'explain'""",
    "an answer is to every question of a test": """
        SELECT test, feature FROM answers LEFT JOIN questions USING (feature, test, split)
        WHERE len(choices) IS DISTINCT FROM len(targets) OR len(failures) <> len(choices)""",
    "a trial has an answer or a failure": """
        SELECT test, feature
        FROM (SELECT test, feature, unnest(choices) AS choice, unnest(failures) AS failure FROM answers)
        WHERE (choice IS NULL) <> (failure IS NOT NULL)""",
    "answers are about labels of the feature": """
        SELECT test, feature, label FROM answers ANTI JOIN labels USING (feature, label)
        WHERE label IS NOT NULL OR baseline IS NULL""",
    "ratings are of the shown label": """
        SELECT feature FROM ratings ANTI JOIN (FROM labels WHERE shown) AS labels USING (feature, label)""",
    "embeddings are of labels": "SELECT label FROM embeddings ANTI JOIN labels USING (label)",
}


def check(db: duckdb.DuckDBPyConnection) -> None:
    """Hold a catalogue to the rules.

    Raises:
        ValueError: It breaks one; the message names the rule and some rows that do.
    """
    for rule, query in RULES.items():
        if found := db.execute(f"{query} LIMIT 3").fetchall():
            raise ValueError(f"The catalogue breaks the rule that {rule}: {', '.join(map(str, found))}.")

-- Fill an empty catalogue of schema version 3 from `old`, one of version 2: trials are kept by feature and test.

INSERT INTO meta SELECT key, value FROM old.meta WHERE key <> 'schema_version';

INSERT INTO features BY NAME FROM old.features;
INSERT INTO passages BY NAME FROM old.passages;
INSERT INTO vocabulary BY NAME FROM old.vocabulary;
INSERT INTO examples BY NAME FROM old.examples;
INSERT INTO logits BY NAME FROM old.logits;
INSERT INTO labels BY NAME FROM old.labels;
INSERT INTO words BY NAME FROM old.words;
INSERT INTO scores BY NAME FROM old.scores;
INSERT INTO ratings BY NAME FROM old.ratings;
INSERT INTO neighbours BY NAME FROM old.neighbours;
INSERT INTO echoes BY NAME FROM old.echoes;
INSERT INTO moderation BY NAME FROM old.moderation;
INSERT INTO requests BY NAME FROM old.requests;
INSERT INTO batches BY NAME FROM old.batches;
INSERT INTO map BY NAME FROM old.map;
INSERT INTO embeddings BY NAME FROM old.embeddings;
INSERT INTO terms BY NAME FROM old.terms;
INSERT INTO runs BY NAME FROM old.runs;

-- Their examples become tiles.
INSERT INTO tiles BY NAME
    SELECT example AS tile, passage, start, length FROM old.examples
    WHERE example IN (SELECT unnest(examples) FROM old.trials) ORDER BY tile;

CREATE TEMP TABLE asked AS
    SELECT *, dense_rank() OVER (
        PARTITION BY feature, test, split ORDER BY examples, target, tier, stratum) AS number
    FROM old.trials;

CREATE TEMP TABLE asked_once AS
    SELECT DISTINCT feature, test, split, number, examples, target, tier, stratum FROM asked;

INSERT INTO questions BY NAME
    SELECT feature, test, split, max(len(examples)) AS options, flatten(list(examples ORDER BY number)) AS tiles,
        list(target ORDER BY number) AS targets, list(coalesce(tier, '') ORDER BY number) AS tiers,
        list(stratum ORDER BY number) AS strata
    FROM asked_once GROUP BY feature, test, split ORDER BY feature, test, split;

-- A question that a judge was not asked of a label has no answer.
INSERT INTO answers BY NAME
    SELECT series.feature, series.test, series.split, series.judge, series.label, series.baseline,
        list(choice ORDER BY question.number) AS choices,
        list(CASE WHEN choice IS NULL THEN coalesce(failure, 'not_asked') END ORDER BY question.number) AS failures
    FROM (SELECT DISTINCT feature, test, split, judge, label, baseline FROM asked) AS series
    JOIN asked_once AS question USING (feature, test, split)
    LEFT JOIN asked ON asked.feature = series.feature AND asked.test = series.test AND asked.split = series.split
        AND asked.judge = series.judge AND asked.label IS NOT DISTINCT FROM series.label
        AND asked.baseline IS NOT DISTINCT FROM series.baseline AND asked.number = question.number
    GROUP BY ALL;

DROP TABLE asked;
DROP TABLE asked_once;

-- Fill an empty catalogue of schema version 2 from `old`, one of version 1.

INSERT INTO meta SELECT key, value FROM old.meta WHERE key <> 'schema_version';

INSERT INTO features BY NAME
    SELECT feature, h_max, density, mean_activation, num_documents,
        CASE WHEN kind IN ('few_firings', 'never_fired') THEN [kind] ELSE [] END AS flags
    FROM old.features JOIN old.labels USING (feature) WHERE shown ORDER BY feature;

INSERT INTO vocabulary SELECT token, text FROM old.vocabulary ORDER BY token;

CREATE TEMP TABLE numbered AS
    SELECT row_number() OVER (ORDER BY feature, stratum DESC, document) - 1 AS example, *
    FROM old.examples;

-- Its examples hold their own tokens, so each becomes a passage; its labels were made from all of them.
INSERT INTO passages BY NAME
    SELECT example AS passage, document, position - peak AS start, 'explain' AS split, tokens
    FROM numbered ORDER BY passage;

INSERT INTO examples BY NAME
    SELECT example, feature, example AS passage, 0 AS start, len(tokens) AS length, peak, role, stratum,
        list_filter(range(len(tokens)), lambda place: activations[place + 1] > 0) AS places,
        list_filter(activations, lambda value: value > 0) AS activations
    FROM numbered ORDER BY example;

DROP TABLE numbered;

INSERT INTO labels BY NAME
    SELECT row_number() OVER (ORDER BY feature, shown DESC, text) - 1 AS label, feature, text,
        CASE kind WHEN 'never_fired' THEN 'none' ELSE 'mixed' END AS kind,
        CASE WHEN kind IN ('few_firings', 'never_fired') THEN 'statistical' ELSE kind END AS explainer,
        [] AS examples,
        coalesce((SELECT value FROM old.meta WHERE key = 'created')::TIMESTAMPTZ, 'epoch') AT TIME ZONE 'UTC' AS created,
        shown
    FROM old.labels ORDER BY label;

-- Words were only kept together with those of labels, which weigh 3 more.
INSERT INTO words BY NAME
    SELECT feature, term AS text, CASE WHEN weight > 3 THEN weight - 3 ELSE weight END AS weight
    FROM old.terms WHERE weight <> 3 ORDER BY feature, term;

-- As `term_scores.py` has it: BM25 with k1 = 1.2 and b = 0.25.
INSERT INTO terms BY NAME
    WITH spread AS (SELECT term, count(*) AS spread FROM old.terms GROUP BY term),
    lengths AS (SELECT feature, sum(weight) AS length FROM old.terms GROUP BY feature)
    SELECT term, feature, round(
        ln(1 + ((SELECT count(*) FROM old.features) - spread + 0.5) / (spread + 0.5)) * 2.2
        * weight / (weight + 1.2 * (0.75 + 0.25 * length / (SELECT avg(length) FROM lengths))), 3) AS score
    FROM old.terms JOIN spread USING (term) JOIN lengths USING (feature) ORDER BY term, feature;

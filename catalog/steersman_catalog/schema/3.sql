-- The catalogue of an SAE's features, schema version 3; docs/catalogue.md has queries.
--
-- Activations are in residual units: one unit is one unit of length in the residual stream. Attention sinks are
-- counted nowhere. Positions and places count from 0 (DuckDB's own list indices count from 1). Rows are stored
-- in the order of their feature, so that reading one feature reads little.
--
--   SELECT feature, label, density FROM shown_features WHERE label LIKE '%chicken%';
--   SELECT stratum, excerpt FROM excerpts WHERE feature = 1234 ORDER BY activation DESC;

-- What the catalogue is of: schema_version, model, model_fingerprint, layer, d_sae, source, seed, max_length,
-- sink_norm, tokens and documents (how many were read), created (UTC), version (of steersman); for embeddings
-- `embedder` and `embedding_dim`.
CREATE TABLE meta (
    key VARCHAR PRIMARY KEY,
    value VARCHAR NOT NULL
);

-- The runs of the labelling job's stages that made what is here.
CREATE TABLE runs (
    run VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,           -- collect, explain, score, refine, embed, neighbours, report, import, ...
    config VARCHAR NOT NULL,          -- JSON: all that shaped the result, hashes and seeds included
    version VARCHAR NOT NULL,         -- of steersman
    created TIMESTAMP NOT NULL,       -- UTC
    seconds DOUBLE
);

CREATE TABLE features (
    feature INTEGER PRIMARY KEY,      -- index in the SAE: 0 to d_sae - 1, none left out
    h_max FLOAT NOT NULL,             -- largest activation in the labelled data set; 0 if it never fired
    density DOUBLE NOT NULL,          -- share of tokens on which it fires
    mean_activation FLOAT NOT NULL,   -- over the tokens on which it fires; 0 if it never fired
    num_documents INTEGER NOT NULL,   -- in which it fires
    quantiles FLOAT[],                -- of the activations above 0, at .1 .25 .5 .75 .9 .95 .99 .999
    histogram INTEGER[],              -- tokens a bin: equal bins of 0 to h_max, lowest first
    decoder_norm FLOAT,               -- of its decoder row before it was scaled to 1
    flags VARCHAR[] NOT NULL          -- never_fired, few_firings, always_on, special_tokens, output
);

-- Texts that examples are cut from: whole documents, or pieces of them.
CREATE TABLE passages (
    passage INTEGER PRIMARY KEY,
    document VARCHAR NOT NULL,        -- id of the chat in the source; pieces of one document share it
    start INTEGER NOT NULL,           -- in the document, in tokens
    split VARCHAR NOT NULL,           -- explain, dev or test: all pieces of a document have the same
    tokens INTEGER[] NOT NULL         -- ids in the model's tokenizer
);

-- The tokens that passages and logits hold. A token that is only part of a character reads �.
CREATE TABLE vocabulary (
    token INTEGER PRIMARY KEY,        -- id in the model's tokenizer
    text VARCHAR NOT NULL
);

-- Windows of passages, for one feature each: where it fires, drawn over the whole range of its activation, and
-- where it is silent (`tier` is then set).
CREATE TABLE examples (
    example INTEGER NOT NULL,         -- id, unique in this file
    feature INTEGER NOT NULL,
    passage INTEGER NOT NULL,
    start INTEGER NOT NULL,           -- first token, in the passage
    length SMALLINT NOT NULL,         -- in tokens
    peak SMALLINT NOT NULL,           -- place in the window of the largest activation; where silent, of the token
                                      -- on which the window was centred
    role VARCHAR NOT NULL,            -- of the message that holds the peak
    stratum UTINYINT,                 -- fifth of 0 to h_max that holds the peak, 0 lowest to 4 highest; NULL: silent
    tier VARCHAR,                     -- how a silent window was chosen: random, same_token, near, label_neighbour,
                                      -- decoder_neighbour, coactivation; NULL: the feature fires
    places SMALLINT[] NOT NULL,       -- of the activations above 0, in the window
    activations FLOAT[] NOT NULL      -- one a place; rounded to 1/1000 of the largest or finer
);

-- What the decoder row does to the next token, by the logit lens.
CREATE TABLE logits (
    feature INTEGER NOT NULL,
    side VARCHAR NOT NULL,            -- promoted or suppressed
    rank SMALLINT NOT NULL,           -- from 0
    token INTEGER NOT NULL,
    value FLOAT NOT NULL              -- logit a unit of activation, less the mean over the vocabulary
);

-- Any number a feature, of which at most one is shown.
CREATE TABLE labels (
    label INTEGER NOT NULL,           -- id, unique in this file
    feature INTEGER NOT NULL,
    text VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,            -- token, context, topic, syntax, position, output, mixed, unclear, none
    explainer VARCHAR NOT NULL,       -- statistical, claude, openai, human, neuronpedia, ...
    model VARCHAR,                    -- the language model asked, if one was
    version VARCHAR,                  -- of the rules or the prompt
    confidence VARCHAR,               -- low, mid or high, by its own account
    examples INTEGER[] NOT NULL,      -- that it was made from
    parent INTEGER,                   -- the label it refines
    run VARCHAR,
    created TIMESTAMP NOT NULL,       -- UTC
    shown BOOLEAN NOT NULL
);

-- Words an explainer gives a feature to be found by, besides those of its label.
CREATE TABLE words (
    feature INTEGER NOT NULL,
    text VARCHAR NOT NULL,
    weight FLOAT NOT NULL             -- above 0, and 1 at most
);

-- The texts of trials: runs of tokens of passages, cut by one rule for all features.
CREATE TABLE tiles (
    tile INTEGER NOT NULL,            -- id, unique in this file
    passage INTEGER NOT NULL,
    start INTEGER NOT NULL,           -- first token, in the passage
    length SMALLINT NOT NULL          -- in tokens
);

-- What judges are asked of a feature, a row a test. Every judge is asked the same of every label. A list holds one
-- entry a question, `tiles` and `others` one a tile; the view `trials` has a row for each question and answer.
CREATE TABLE questions (
    feature INTEGER NOT NULL,
    test VARCHAR NOT NULL,            -- contrastive, stringent, detection, fuzzing
    split VARCHAR NOT NULL,           -- dev or test
    options UTINYINT NOT NULL,        -- tiles a question
    tiles INTEGER[] NOT NULL,         -- in the order shown
    targets UTINYINT[] NOT NULL,      -- index of the right answer; for detection and fuzzing 1 is yes, 0 no
    tiers VARCHAR[] NOT NULL,         -- how the silent tile was chosen: random, same_token, near, neighbour
    strata UTINYINT[] NOT NULL,       -- of the tile in which the feature fires; NULL where there is none
    others INTEGER[],                 -- the feature that fires on each tile; only of the stringent test
    marked UTINYINT[][]               -- places marked in the tile; only of fuzzing
);

-- What a judge chose, a row a test of a label. A list holds one entry a question.
CREATE TABLE answers (
    feature INTEGER NOT NULL,
    test VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    judge VARCHAR NOT NULL,           -- embedding, lexical, claude, ...; '' where nothing judges
    label INTEGER,                    -- NULL: a baseline's
    baseline VARCHAR,                 -- shuffled_labels, unigram, ...: the label is not the feature's
    choices UTINYINT[] NOT NULL,      -- as `targets`; NULL where there is no answer
    failures VARCHAR[]                -- why there is none: refused, truncated, invalid, expired, error; NULL if all
                                      -- are answered
);

-- What the trials come to, and causal scores of the feature itself. A whole and its parts are rows beside each
-- other: `tier` and `stratum` NULL is the whole.
CREATE TABLE scores (
    feature INTEGER NOT NULL,
    label INTEGER,                    -- NULL: of the feature itself, or of a baseline
    test VARCHAR NOT NULL,            -- contrastive, stringent, detection, fuzzing, auc, output_score, ...
    judge VARCHAR NOT NULL,           -- '' where nothing judges
    baseline VARCHAR,                 -- shuffled_labels, unigram, random_sae, ...
    split VARCHAR NOT NULL,           -- dev or test
    tier VARCHAR,
    stratum UTINYINT,
    value FLOAT NOT NULL,
    lo FLOAT,                         -- 95 % interval
    hi FLOAT,
    chance FLOAT,                     -- value of one who guesses; NULL where there is none
    n INTEGER NOT NULL,               -- with an answer
    k FLOAT,                          -- of those, right; NULL where that is no count
    failures INTEGER NOT NULL,        -- without an answer: in neither n nor k
    label_set VARCHAR,                -- the labels that distractors were chosen by
    run VARCHAR
);

-- One number a feature to rank its shown label by: a score shrunken towards the mean of all features, and whether
-- it is above chance when all features are tested at once.
CREATE TABLE ratings (
    feature INTEGER PRIMARY KEY,
    label INTEGER NOT NULL,
    test VARCHAR NOT NULL,
    score FLOAT NOT NULL,             -- 0 to 1, higher is better
    q_value FLOAT,                    -- smallest false discovery rate at which it is trusted
    trusted BOOLEAN NOT NULL
);

CREATE TABLE neighbours (
    feature INTEGER NOT NULL,
    space VARCHAR NOT NULL,           -- decoder, label or coactivation
    rank SMALLINT NOT NULL,           -- from 0, nearest first
    neighbour INTEGER NOT NULL,
    similarity FLOAT NOT NULL         -- cosine of decoder rows or label embeddings; Jaccard of firings
);

-- Features that say the same: one group of two or more a row set.
CREATE TABLE echoes (
    feature INTEGER PRIMARY KEY,
    echo INTEGER NOT NULL             -- the group: the index of its feature with the most activation mass
);

-- What should not be shown or steered. A server may have other actions for a category.
CREATE TABLE moderation (
    subject VARCHAR NOT NULL,         -- feature, label or example
    id INTEGER NOT NULL,              -- in the table of that name
    feature INTEGER NOT NULL,         -- it belongs to
    category VARCHAR NOT NULL,        -- sexual, violence, hate, self_harm, crime, personal_data, ...
    action VARCHAR NOT NULL,          -- mark, hide (not shown unless asked for) or refuse (hidden, and not raised)
    evidence VARCHAR NOT NULL,
    source VARCHAR NOT NULL,          -- rules, claude, human, ...
    created TIMESTAMP NOT NULL
);

-- What was asked of language models, and what it cost: a copy of the job's ledger.
CREATE TABLE requests (
    request VARCHAR NOT NULL,         -- hash of model, parameters and prompt
    stage VARCHAR NOT NULL,
    backend VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    feature INTEGER,
    batch VARCHAR,
    status VARCHAR NOT NULL,
    stop_reason VARCHAR,
    failure VARCHAR,
    input_tokens INTEGER,
    cached_tokens INTEGER,
    output_tokens INTEGER,
    usd DOUBLE,
    created TIMESTAMP NOT NULL
);

CREATE TABLE batches (
    batch VARCHAR NOT NULL,
    backend VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    num_requests INTEGER NOT NULL,
    submitted TIMESTAMP,
    ended TIMESTAMP,
    reserved_usd DOUBLE,
    usd DOUBLE
);

-- A picture of all features: near means alike.
CREATE TABLE map (
    feature INTEGER PRIMARY KEY,
    x FLOAT NOT NULL,                 -- both in -1 to 1
    y FLOAT NOT NULL
);

-- Directions of label texts, for semantic search: the embedder's vector, scaled so that its largest part is
-- ±127, and rounded.
CREATE TABLE embeddings (
    label INTEGER NOT NULL,
    embedding TINYINT[] NOT NULL
);

-- The words of labels and `words` by which features are found, in the order of the term. Made when the file is
-- written: never fill it.
CREATE TABLE terms (
    term VARCHAR NOT NULL,            -- case-folded, without a plural's s
    feature INTEGER NOT NULL,
    score FLOAT NOT NULL              -- what the term adds to a feature's BM25
);

-- One row a feature. `label_kind` says who made the label, or why there is no good one.
CREATE VIEW shown_features AS
    SELECT feature, coalesce(text, 'no label') AS label,
        CASE WHEN 'never_fired' IN flags THEN 'never_fired'
            WHEN 'few_firings' IN flags THEN 'few_firings'
            ELSE coalesce(explainer, 'none') END AS label_kind,
        h_max, density, mean_activation, num_documents, flags,
        labels.label AS label_id, kind, score, coalesce(trusted, FALSE) AS trusted,
        EXISTS (FROM moderation WHERE moderation.feature = features.feature AND action <> 'mark'
            AND (subject = 'feature' OR subject = 'label' AND id = labels.label)) AS hidden
    FROM features
    LEFT JOIN (FROM labels WHERE shown) AS labels USING (feature)
    LEFT JOIN (SELECT feature, score, trusted FROM ratings) AS ratings USING (feature);

-- Examples as text, the peak marked.
CREATE VIEW excerpts AS
    SELECT feature, example, document, split, role, stratum, tier, activation,
        string_agg(CASE WHEN place = peak THEN '«' || text || '»' ELSE text END, '' ORDER BY place) AS excerpt
    FROM (
        SELECT feature, example, document, split, role, stratum, tier, peak,
            coalesce(activations[list_position(places, peak)], 0) AS activation,
            unnest(range(length)) AS place,
            unnest(tokens[examples.start + 1:examples.start + length]) AS token
        FROM examples JOIN passages USING (passage)
    ) JOIN vocabulary USING (token)
    GROUP BY ALL;

-- One row a question put to a judge.
CREATE VIEW trials AS
    SELECT test, judge, feature, label, baseline, split, trial, target, choice,
        failures[trial + 1] AS failure, tiers[trial + 1] AS tier, strata[trial + 1] AS stratum,
        tiles[trial * options + 1:(trial + 1) * options] AS tiles,
        others[trial * options + 1:(trial + 1) * options] AS others,
        marked[trial + 1] AS marked
    FROM (
        SELECT *, unnest(range(len(targets))) AS trial, unnest(targets) AS target, unnest(choices) AS choice
        FROM answers JOIN questions USING (feature, test, split)
    );

-- Tiles as text.
CREATE VIEW tile_texts AS
    SELECT tile, document, split, string_agg(text, '' ORDER BY place) AS text
    FROM (
        SELECT tile, document, split, unnest(range(length)) AS place,
            unnest(tokens[tiles.start + 1:tiles.start + length]) AS token
        FROM tiles JOIN passages USING (passage)
    ) JOIN vocabulary USING (token)
    GROUP BY ALL;

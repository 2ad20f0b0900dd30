-- The catalogue of an SAE's features, schema version 1.
--
-- Activations are in residual units: one unit is one unit of length in the residual stream.
-- Attention sinks are counted nowhere. Rows are stored in the order of their feature.
--
--   SELECT feature, label, density FROM shown_features WHERE label LIKE '%chicken%';
--   SELECT stratum, excerpt FROM excerpts WHERE feature = 1234 ORDER BY stratum DESC;

-- What the catalogue is of: schema_version, model, model_fingerprint, layer, d_sae, source, seed, max_length,
-- sink_norm, tokens and documents (how many were read), created (UTC), version (of steersman).
CREATE TABLE meta (
    key VARCHAR PRIMARY KEY,
    value VARCHAR NOT NULL
);

CREATE TABLE features (
    feature INTEGER PRIMARY KEY,      -- index in the SAE: 0 to d_sae - 1, none left out
    h_max FLOAT NOT NULL,             -- largest activation in the labelled data set; 0 if it never fired
    density DOUBLE NOT NULL,          -- share of tokens on which it fires
    mean_activation FLOAT NOT NULL,   -- over the tokens on which it fires; 0 if it never fired
    num_documents INTEGER NOT NULL    -- in which it fires
);

-- Any number a feature, of which one is shown. Kinds:
--   statistical    words that stand out where it fires (counting, not understanding)
--   few_firings    the same, from too few documents to be trusted
--   never_fired    no text of the labelled data set made it fire
CREATE TABLE labels (
    feature INTEGER NOT NULL,
    text VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    shown BOOLEAN NOT NULL
);

-- The tokens that examples hold. A token that is only part of a character reads �.
CREATE TABLE vocabulary (
    token INTEGER PRIMARY KEY,        -- id in the model's tokenizer
    text VARCHAR NOT NULL
);

-- Pieces of real chats around a feature's highest position in a document; one a document at most. They
-- are the documents where it is highest, and some drawn at random from each stratum: no fair sample of
-- all its firings.
CREATE TABLE examples (
    feature INTEGER NOT NULL,
    stratum UTINYINT NOT NULL,        -- fifth of 0 to h_max that holds the peak: 0 lowest to 4 highest
    document VARCHAR NOT NULL,        -- id of the chat in the source
    role VARCHAR NOT NULL,            -- of the message that holds the peak
    position INTEGER NOT NULL,        -- of the peak in the document, in tokens
    peak INTEGER NOT NULL,            -- index of the peak in the two lists (from 0; DuckDB counts from 1)
    tokens INTEGER[] NOT NULL,
    activations FLOAT[] NOT NULL      -- one a token
);

-- Words to search by: those of the labels, and more that stand out where the feature fires.
CREATE TABLE terms (
    term VARCHAR NOT NULL,            -- case-folded, without a plural's s
    feature INTEGER NOT NULL,
    weight FLOAT NOT NULL             -- above 0; above 1 for words of a label
);

CREATE VIEW shown_features AS
    SELECT feature, text AS label, kind AS label_kind, h_max, density, mean_activation, num_documents
    FROM features JOIN labels USING (feature)
    WHERE shown;

CREATE VIEW excerpts AS
    SELECT feature, stratum, document, role, activations[peak + 1] AS activation,
        (SELECT string_agg(CASE WHEN place = peak + 1 THEN '«' || text || '»' ELSE text END, '' ORDER BY place)
         FROM (SELECT unnest(tokens) AS token, generate_subscripts(tokens, 1) AS place)
         JOIN vocabulary USING (token)) AS excerpt
    FROM examples;

-- The words by which motions are found: one row for each word of each motion.

-- name: create_words (postgres)
-- In order of word, then of introduction. Words are compared byte by byte, so that those with one
-- beginning stand together whatever the language of the database.
CREATE TABLE IF NOT EXISTS search_{generation}_words (
    word             text COLLATE "C" NOT NULL,
    introduced_at_us bigint NOT NULL,
    motion_id        uuid   NOT NULL,
    PRIMARY KEY (word, introduced_at_us, motion_id)
);

-- name: create_words (sqlite)
-- In order of word, then of introduction. Words are compared byte by byte.
CREATE TABLE IF NOT EXISTS search_{generation}_words (
    word             TEXT    NOT NULL,
    introduced_at_us INTEGER NOT NULL,
    motion_id        TEXT    NOT NULL,
    PRIMARY KEY (word, introduced_at_us, motion_id)
) STRICT, WITHOUT ROWID;

-- name: drop_words
-- The words.
DROP TABLE IF EXISTS search_{generation}_words;

-- name: keep_words (postgres)
-- The words of the motions of a batch.
INSERT INTO search_{generation}_words (word, introduced_at_us, motion_id)
SELECT * FROM unnest(:word::text[], :introduced_at_us::bigint[], :motion_id::uuid[])
ON CONFLICT DO NOTHING;

-- name: keep_word (sqlite)
-- A word of a motion.
INSERT INTO search_{generation}_words (word, introduced_at_us, motion_id)
VALUES (:word, :introduced_at_us, :motion_id) ON CONFLICT DO NOTHING;

-- name: forget_word
-- A word that a motion does not have any more, since it was amended.
DELETE FROM search_{generation}_words
 WHERE word = :word AND introduced_at_us = :introduced_at_us AND motion_id = :motion_id;

-- name: words_beginning
-- The first few words that begin with a text, each found by one look into the index.
WITH RECURSIVE found (word, nth) AS (
    SELECT (SELECT min(w.word) FROM search_{generation}_words w
             WHERE w.word >= :first AND w.word < :beyond), 1
     UNION ALL
    SELECT (SELECT min(w.word) FROM search_{generation}_words w
             WHERE w.word > found.word AND w.word < :beyond), nth + 1
      FROM found WHERE found.word IS NOT NULL AND nth < :limit
)
SELECT word FROM found WHERE word IS NOT NULL;

-- name: page_of_word
-- The motions that have a word, the newest first, behind a place.
SELECT introduced_at_us, motion_id FROM search_{generation}_words
 WHERE word = :word AND (introduced_at_us, motion_id) < (:before_us, :before_id)
 ORDER BY introduced_at_us DESC, motion_id DESC LIMIT :limit;

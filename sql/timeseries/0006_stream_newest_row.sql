-- How far the time of the readings has come: a feed of the past is stored today, and a day that was
-- ingested as a whole has readings that no stream has brought.
ALTER TABLE stream_offsets ADD COLUMN IF NOT EXISTS newest_row_at timestamptz;

-- Articles that came into stock or went out of it, with the transaction of the newest time: what the search follows.
-- No lock and no sequence: whoever follows asks again for everything from the oldest transaction on that was still open.
CREATE TABLE search_stock_flip (
    key text PRIMARY KEY,
    xid xid8 NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX search_stock_flip_by_xid ON search_stock_flip (xid);

CREATE FUNCTION stock_flips() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_stock_flip AS f (key, xid) VALUES (NEW.key, pg_current_xact_id())
    ON CONFLICT (key) DO UPDATE SET xid = excluded.xid;
    RETURN NULL;
END $$;

-- The condition is looked at without calling anything: an order of an article that stays in stock costs a comparison.
CREATE TRIGGER stock_level_flips AFTER UPDATE ON stock_level FOR EACH ROW
    WHEN ((OLD.available > 0) IS DISTINCT FROM (NEW.available > 0)) EXECUTE FUNCTION stock_flips();
CREATE TRIGGER stock_level_begins AFTER INSERT ON stock_level FOR EACH ROW
    WHEN (NEW.available > 0) EXECUTE FUNCTION stock_flips();

-- A sale that moves is news to every cache of facts, whoever wrote the move.

CREATE FUNCTION tell_sale_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE flash_sale SET state = NEW.state WHERE sale_id = NEW.sale_id AND state <> NEW.state;
    RETURN NULL;
END $$;

CREATE TRIGGER sale_state_told AFTER INSERT OR UPDATE ON sale_state FOR EACH ROW EXECUTE FUNCTION tell_sale_state();

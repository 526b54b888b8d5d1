-- What lists of products are read by.
CREATE INDEX product_by_age ON product (on_shelf_since_ms DESC, product_id DESC) WHERE state = 'on_shelf';
CREATE INDEX product_by_tags ON product USING gin (tags);

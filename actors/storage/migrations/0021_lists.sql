-- What lists of products are read by.
CREATE INDEX product_by_age ON product (on_shelf_since_ms DESC, product_id DESC) WHERE state = 'on_shelf';
CREATE INDEX product_by_tags ON product USING gin (tags);
CREATE INDEX sku_by_price ON sku (price_minor, product_id COLLATE "C") WHERE on_shelf;
-- What anybody may pay for one unit, while its window is open.
CREATE INDEX sku_price_by_amount ON sku_price (price_minor) WHERE kind <> 'member' AND level_id = '' AND min_quantity = 1;

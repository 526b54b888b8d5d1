-- Products that were there before categories and brands were rows: the departments become roots, the words below them their
-- children, with the ids that a shop which is loaded anew has (actors/storage/seed.py). Names without a letter or digit of ASCII
-- make no id: such products stay without, until somebody files them.
CREATE FUNCTION pg_temp.slug(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT btrim(regexp_replace(lower(name), '[^a-z0-9]+', '-', 'g'), '-')
$$;

INSERT INTO category (category_id, title, title_zh, slug)
SELECT DISTINCT ON (slug) 'cat_' || slug, initcap(department), department_zh, slug
FROM (SELECT department, department_zh, pg_temp.slug(department) AS slug FROM product) named
WHERE length(slug) BETWEEN 1 AND 58 ORDER BY slug, department, department_zh
ON CONFLICT DO NOTHING;

INSERT INTO category (category_id, parent_id, title, title_zh, slug)
SELECT DISTINCT ON (root, slug) 'cat_' || root || '.' || slug, 'cat_' || root, initcap(category), '', root || '-' || slug
FROM (SELECT category, pg_temp.slug(department) AS root, pg_temp.slug(category) AS slug FROM product WHERE category IS NOT NULL) named
WHERE root <> '' AND slug <> '' AND length(root || slug) < 58 ORDER BY root, slug, category
ON CONFLICT DO NOTHING;

INSERT INTO brand (brand_id, title, title_zh, slug)
SELECT DISTINCT ON (slug) 'brd_' || slug, brand, '', slug
FROM (SELECT brand, pg_temp.slug(brand) AS slug FROM product WHERE brand IS NOT NULL) named
WHERE length(slug) BETWEEN 1 AND 58 ORDER BY slug, brand
ON CONFLICT DO NOTHING;

UPDATE product p SET
    category_id = coalesce(
        (SELECT category_id FROM category WHERE category_id = 'cat_' || pg_temp.slug(p.department) || '.' || pg_temp.slug(p.category)),
        (SELECT category_id FROM category WHERE category_id = 'cat_' || pg_temp.slug(p.department))),
    brand_id = (SELECT brand_id FROM brand WHERE brand_id = 'brd_' || pg_temp.slug(p.brand)),
    code = (SELECT min(s.code) FROM sku s WHERE s.product_id = p.product_id AND s.sku_id NOT LIKE 'sku\_s\_%');

DROP FUNCTION pg_temp.slug(text);

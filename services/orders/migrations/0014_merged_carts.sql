-- Before a cart is deleted, those that went into it are looked for: by the deletion itself, and by its foreign key.
CREATE INDEX carts_merged_into ON orders.carts (merged_into) WHERE merged_into IS NOT NULL;

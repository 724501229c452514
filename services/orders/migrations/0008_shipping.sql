-- What shipping costs: where a postal code is, and the price of a weight to there.
--
-- Ranges are those that Correios publishes ("Busca faixa de CEP", buscacepinter.correios.com.br), by state and by
-- capital, told by the first five digits; where a capital's range was extended over the years, only the part that
-- every edition gives to it is the capital's. Prices are the shop's own, from Belo Horizonte.

-- One row: whoever changes a table counts it up and says so, and quotes name what they were made from.
CREATE TABLE orders.shipping_table (
    only_one bool PRIMARY KEY DEFAULT true CHECK (only_one),
    version  bigint NOT NULL CHECK (version > 0)
);
INSERT INTO orders.shipping_table (version) VALUES (1);

CREATE TABLE orders.shipping_regions (
    region text PRIMARY KEY CHECK (length(region) BETWEEN 1 AND 20)
);
INSERT INTO orders.shipping_regions VALUES
    ('city'), ('home'), ('southeast'), ('south'), ('midwest'), ('northeast'), ('north');

-- Both ends belong to a range.
CREATE TABLE orders.shipping_ceps (
    prefix_from int NOT NULL CHECK (prefix_from BETWEEN 0 AND 99999),
    prefix_to   int NOT NULL CHECK (prefix_to BETWEEN prefix_from AND 99999),
    state       char(2) NOT NULL CHECK (state ~ '^[A-Z]{2}$'),
    region      text NOT NULL REFERENCES orders.shipping_regions,
    -- The state's capital when the range is its; else empty.
    city        text NOT NULL DEFAULT '',
    PRIMARY KEY (prefix_from)
);
INSERT INTO orders.shipping_ceps (prefix_from, prefix_to, state, region, city) VALUES
    (1000, 5999, 'SP', 'southeast', 'São Paulo'),
    (6000, 7999, 'SP', 'southeast', ''),
    (8000, 8499, 'SP', 'southeast', 'São Paulo'),
    (8500, 19999, 'SP', 'southeast', ''),
    (20000, 23799, 'RJ', 'southeast', 'Rio de Janeiro'),
    (23800, 28999, 'RJ', 'southeast', ''),
    (29000, 29099, 'ES', 'southeast', 'Vitória'),
    (29100, 29999, 'ES', 'southeast', ''),
    (30000, 31999, 'MG', 'city', 'Belo Horizonte'),
    (32000, 39999, 'MG', 'home', ''),
    (40000, 41999, 'BA', 'northeast', 'Salvador'),
    (42000, 48999, 'BA', 'northeast', ''),
    (49000, 49098, 'SE', 'northeast', 'Aracaju'),
    (49099, 49999, 'SE', 'northeast', ''),
    (50000, 52999, 'PE', 'northeast', 'Recife'),
    (53000, 56999, 'PE', 'northeast', ''),
    (57000, 57099, 'AL', 'northeast', 'Maceió'),
    (57100, 57999, 'AL', 'northeast', ''),
    (58000, 58099, 'PB', 'northeast', 'João Pessoa'),
    (58100, 58999, 'PB', 'northeast', ''),
    (59000, 59139, 'RN', 'northeast', 'Natal'),
    (59140, 59999, 'RN', 'northeast', ''),
    (60000, 60999, 'CE', 'northeast', 'Fortaleza'),
    (61000, 63999, 'CE', 'northeast', ''),
    (64000, 64099, 'PI', 'northeast', 'Teresina'),
    (64100, 64999, 'PI', 'northeast', ''),
    (65000, 65099, 'MA', 'northeast', 'São Luís'),
    (65100, 65999, 'MA', 'northeast', ''),
    (66000, 66999, 'PA', 'north', 'Belém'),
    (67000, 68899, 'PA', 'north', ''),
    (68900, 68911, 'AP', 'north', 'Macapá'),
    (68912, 68999, 'AP', 'north', ''),
    (69000, 69099, 'AM', 'north', 'Manaus'),
    (69100, 69299, 'AM', 'north', ''),
    (69300, 69339, 'RR', 'north', 'Boa Vista'),
    (69340, 69399, 'RR', 'north', ''),
    (69400, 69899, 'AM', 'north', ''),
    (69900, 69920, 'AC', 'north', 'Rio Branco'),
    (69921, 69999, 'AC', 'north', ''),
    (70000, 72799, 'DF', 'midwest', 'Brasília'),
    (72800, 72999, 'GO', 'midwest', ''),
    (73000, 73699, 'DF', 'midwest', 'Brasília'),
    (73700, 73999, 'GO', 'midwest', ''),
    (74000, 74894, 'GO', 'midwest', 'Goiânia'),
    (74895, 76799, 'GO', 'midwest', ''),
    (76800, 76834, 'RO', 'north', 'Porto Velho'),
    (76835, 76999, 'RO', 'north', ''),
    (77000, 77249, 'TO', 'north', 'Palmas'),
    (77250, 77999, 'TO', 'north', ''),
    (78000, 78099, 'MT', 'midwest', 'Cuiabá'),
    (78100, 78899, 'MT', 'midwest', ''),
    (79000, 79124, 'MS', 'midwest', 'Campo Grande'),
    (79125, 79999, 'MS', 'midwest', ''),
    (80000, 82999, 'PR', 'south', 'Curitiba'),
    (83000, 87999, 'PR', 'south', ''),
    (88000, 88099, 'SC', 'south', 'Florianópolis'),
    (88100, 89999, 'SC', 'south', ''),
    (90000, 91999, 'RS', 'south', 'Porto Alegre'),
    (92000, 99999, 'RS', 'south', '');

CREATE TABLE orders.shipping_services (
    service text PRIMARY KEY CHECK (service IN ('PAC', 'SEDEX', 'PICKUP')),
    carrier text NOT NULL CHECK (length(carrier) BETWEEN 1 AND 60)
);
INSERT INTO orders.shipping_services VALUES
    ('PAC', 'Correios'), ('SEDEX', 'Correios'), ('PICKUP', 'Mestres Café');

CREATE TABLE orders.shipping_rates (
    service      text NOT NULL REFERENCES orders.shipping_services,
    region       text NOT NULL REFERENCES orders.shipping_regions,
    -- Up to and including this; the lightest rate that is heavy enough applies.
    weight_g_max int NOT NULL CHECK (weight_g_max > 0),
    amount       app.minor NOT NULL,
    days_min     int NOT NULL CHECK (days_min >= 0),
    days_max     int NOT NULL CHECK (days_max >= days_min),
    PRIMARY KEY (service, region, weight_g_max)
);
INSERT INTO orders.shipping_rates VALUES
    ('PAC', 'city', 300, 1290, 1, 3),
    ('SEDEX', 'city', 300, 1690, 1, 1),
    ('PAC', 'city', 1000, 1520, 1, 3),
    ('SEDEX', 'city', 1000, 1990, 1, 1),
    ('PAC', 'city', 2000, 1830, 1, 3),
    ('SEDEX', 'city', 2000, 2400, 1, 1),
    ('PAC', 'city', 5000, 2640, 1, 3),
    ('SEDEX', 'city', 5000, 3460, 1, 1),
    ('PAC', 'city', 10000, 4000, 1, 3),
    ('SEDEX', 'city', 10000, 5240, 1, 1),
    ('PAC', 'city', 20000, 6320, 1, 3),
    ('SEDEX', 'city', 20000, 8280, 1, 1),
    ('PAC', 'city', 30000, 8510, 1, 3),
    ('SEDEX', 'city', 30000, 11150, 1, 1),
    ('PAC', 'home', 300, 1590, 3, 5),
    ('SEDEX', 'home', 300, 2190, 1, 2),
    ('PAC', 'home', 1000, 1880, 3, 5),
    ('SEDEX', 'home', 1000, 2580, 1, 2),
    ('PAC', 'home', 2000, 2260, 3, 5),
    ('SEDEX', 'home', 2000, 3110, 1, 2),
    ('PAC', 'home', 5000, 3260, 3, 5),
    ('SEDEX', 'home', 5000, 4490, 1, 2),
    ('PAC', 'home', 10000, 4930, 3, 5),
    ('SEDEX', 'home', 10000, 6790, 1, 2),
    ('PAC', 'home', 20000, 7790, 3, 5),
    ('SEDEX', 'home', 20000, 10730, 1, 2),
    ('PAC', 'home', 30000, 10490, 3, 5),
    ('SEDEX', 'home', 30000, 14450, 1, 2),
    ('PAC', 'southeast', 300, 1890, 4, 7),
    ('SEDEX', 'southeast', 300, 2790, 1, 3),
    ('PAC', 'southeast', 1000, 2230, 4, 7),
    ('SEDEX', 'southeast', 1000, 3290, 1, 3),
    ('PAC', 'southeast', 2000, 2680, 4, 7),
    ('SEDEX', 'southeast', 2000, 3960, 1, 3),
    ('PAC', 'southeast', 5000, 3870, 4, 7),
    ('SEDEX', 'southeast', 5000, 5720, 1, 3),
    ('PAC', 'southeast', 10000, 5860, 4, 7),
    ('SEDEX', 'southeast', 10000, 8650, 1, 3),
    ('PAC', 'southeast', 20000, 9260, 4, 7),
    ('SEDEX', 'southeast', 20000, 13670, 1, 3),
    ('PAC', 'southeast', 30000, 12470, 4, 7),
    ('SEDEX', 'southeast', 30000, 18410, 1, 3),
    ('PAC', 'south', 300, 2190, 5, 9),
    ('SEDEX', 'south', 300, 3390, 2, 4),
    ('PAC', 'south', 1000, 2580, 5, 9),
    ('SEDEX', 'south', 1000, 4000, 2, 4),
    ('PAC', 'south', 2000, 3110, 5, 9),
    ('SEDEX', 'south', 2000, 4810, 2, 4),
    ('PAC', 'south', 5000, 4490, 5, 9),
    ('SEDEX', 'south', 5000, 6950, 2, 4),
    ('PAC', 'south', 10000, 6790, 5, 9),
    ('SEDEX', 'south', 10000, 10510, 2, 4),
    ('PAC', 'south', 20000, 10730, 5, 9),
    ('SEDEX', 'south', 20000, 16610, 2, 4),
    ('PAC', 'south', 30000, 14450, 5, 9),
    ('SEDEX', 'south', 30000, 22370, 2, 4),
    ('PAC', 'midwest', 300, 2390, 6, 10),
    ('SEDEX', 'midwest', 300, 3690, 2, 4),
    ('PAC', 'midwest', 1000, 2820, 6, 10),
    ('SEDEX', 'midwest', 1000, 4350, 2, 4),
    ('PAC', 'midwest', 2000, 3390, 6, 10),
    ('SEDEX', 'midwest', 2000, 5240, 2, 4),
    ('PAC', 'midwest', 5000, 4900, 6, 10),
    ('SEDEX', 'midwest', 5000, 7560, 2, 4),
    ('PAC', 'midwest', 10000, 7410, 6, 10),
    ('SEDEX', 'midwest', 10000, 11440, 2, 4),
    ('PAC', 'midwest', 20000, 11710, 6, 10),
    ('SEDEX', 'midwest', 20000, 18080, 2, 4),
    ('PAC', 'midwest', 30000, 15770, 6, 10),
    ('SEDEX', 'midwest', 30000, 24350, 2, 4),
    ('PAC', 'northeast', 300, 2690, 8, 14),
    ('SEDEX', 'northeast', 300, 4490, 3, 6),
    ('PAC', 'northeast', 1000, 3170, 8, 14),
    ('SEDEX', 'northeast', 1000, 5300, 3, 6),
    ('PAC', 'northeast', 2000, 3820, 8, 14),
    ('SEDEX', 'northeast', 2000, 6380, 3, 6),
    ('PAC', 'northeast', 5000, 5510, 8, 14),
    ('SEDEX', 'northeast', 5000, 9200, 3, 6),
    ('PAC', 'northeast', 10000, 8340, 8, 14),
    ('SEDEX', 'northeast', 10000, 13920, 3, 6),
    ('PAC', 'northeast', 20000, 13180, 8, 14),
    ('SEDEX', 'northeast', 20000, 22000, 3, 6),
    ('PAC', 'northeast', 30000, 17750, 8, 14),
    ('SEDEX', 'northeast', 30000, 29630, 3, 6),
    ('PAC', 'north', 300, 3190, 10, 20),
    ('SEDEX', 'north', 300, 5390, 4, 8),
    ('PAC', 'north', 1000, 3760, 10, 20),
    ('SEDEX', 'north', 1000, 6360, 4, 8),
    ('PAC', 'north', 2000, 4530, 10, 20),
    ('SEDEX', 'north', 2000, 7650, 4, 8),
    ('PAC', 'north', 5000, 6540, 10, 20),
    ('SEDEX', 'north', 5000, 11050, 4, 8),
    ('PAC', 'north', 10000, 9890, 10, 20),
    ('SEDEX', 'north', 10000, 16710, 4, 8),
    ('PAC', 'north', 20000, 15630, 10, 20),
    ('SEDEX', 'north', 20000, 26410, 4, 8),
    ('PAC', 'north', 30000, 21050, 10, 20),
    ('SEDEX', 'north', 30000, 35570, 4, 8),
    ('PICKUP', 'city', 30000, 0, 1, 2),
    ('PICKUP', 'home', 30000, 0, 1, 2);

-- Everybody may know what shipping costs; staff may change it.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['shipping_table', 'shipping_regions', 'shipping_ceps', 'shipping_services',
                             'shipping_rates'] LOOP
        EXECUTE format('ALTER TABLE orders.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE orders.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY everybody ON orders.%I FOR SELECT TO mc_anon, mc_user USING (true)', t);
        EXECUTE format('CREATE POLICY staff ON orders.%I FOR ALL TO mc_admin, mc_service USING (true) WITH CHECK (true)', t);
        EXECUTE format('GRANT SELECT ON orders.%I TO mc_anon, mc_user', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON orders.%I TO mc_admin, mc_service', t);
    END LOOP;
END $$;

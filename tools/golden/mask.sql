-- SPDX-License-Identifier: Apache-2.0
-- The functions behind the rules, in a schema that exists while a branch is masked.
--
-- All are functions of the value and of the salt (setting cowfs.salt of the session): equal values have equal
-- fakes, and nobody without the salt can try values out. NULL gives NULL. Permutations never make two values
-- equal; digests do so with a probability that can be forgotten.

-- A digest as a number of 60 bits. In the encoding of the database, so that no byte is invalid.
CREATE FUNCTION cowfs_mask.n(v text) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT ('x' || substr(encode(sha256(convert_to(current_setting('cowfs.salt') || v, getdatabaseencoding())), 'hex'), 1, 15))::bit(60)::bigint
$$;

-- Hexadecimal digits, every eighth of them a letter: of a million hashes a few would hold a valid card number otherwise,
-- and the proof refuses an image that shows one. 123 bits of 128 stay.
CREATE FUNCTION cowfs_mask.hash(v text, most int) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT left(string_agg(substr(h, k * 8 + 1, 7) || translate(substr(h, k * 8 + 8, 1), '0123456789', 'abcdefabcd'), '' ORDER BY k), least(most, 32))
	FROM (SELECT encode(sha256(convert_to(current_setting('cowfs.salt') || v, getdatabaseencoding())), 'hex')) d(h), generate_series(0, 3) k
$$;

-- `count` decimal digits of a digest, up to any number.
CREATE FUNCTION cowfs_mask.digits(v text, count int) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
	s text := '';
BEGIN
	FOR k IN 0 .. (count + 14) / 15 - 1 LOOP
		s := s || lpad((cowfs_mask.n(k || 'd' || v) % 1000000000000000)::text, 15, '0');
	END LOOP;
	RETURN left(s, count);
END $$;

-- A permutation of the numbers from 0 to a * b - 1: each step adds to one part a digest of the other.
CREATE FUNCTION cowfs_mask.permute(x bigint, a bigint, b bigint) RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
	l bigint := x / b;
	r bigint := x % b;
BEGIN
	FOR k IN 1 .. 3 LOOP
		l := (l + cowfs_mask.n(k || 'l' || a || ':' || b || ':' || r) % a) % a;
		r := (r + cowfs_mask.n(k || 'r' || a || ':' || b || ':' || l) % b) % b;
	END LOOP;
	RETURN l * b + r;
END $$;

CREATE FUNCTION cowfs_mask.refuse(v text) RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
	RAISE EXCEPTION 'an integer too large for the rule hash';
END $$;

-- Integers: one permutation for all that fit 31 bits whatever their type, so that a key of int and a reference
-- of bigint agree; another one for the rest. The sign stays.
CREATE FUNCTION cowfs_mask.number(x bigint, small boolean) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT CASE WHEN small THEN sign(x)::bigint * cowfs_mask.permute(abs(x), 128, 256)
		WHEN abs(x) < 2147483648 THEN sign(x)::bigint * cowfs_mask.permute(abs(x), 32768, 65536)
		WHEN abs(x) < 4611686018427387904 THEN sign(x)::bigint * (2147483648 + cowfs_mask.permute(abs(x) - 2147483648, 2147483647, 2147483648))
		ELSE cowfs_mask.refuse(x::text) END
$$;

CREATE FUNCTION cowfs_mask.refuse_array() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
	RAISE EXCEPTION 'an array of more than one dimension has no rule but keep, null and sql';
END $$;

-- Letters for letters, digits for digits, the rest as it is. Short ones are permuted among those of their shape.
CREATE FUNCTION cowfs_mask.shape(v text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
	half int := length(v) / 2;
	size bigint[] := ARRAY[1, 1];
	x bigint := 0;
	part int;
	c text;
	radix int;
	d int;
	code int;
	h text := '';
	s text := '';
	fits boolean := length(v) <= 24;
BEGIN
	IF fits THEN
		FOR k IN 1 .. length(v) LOOP
			c := substr(v, k, 1);
			code := ascii(c);
			CONTINUE WHEN NOT (code BETWEEN 48 AND 57 OR code BETWEEN 65 AND 90 OR code BETWEEN 97 AND 122);
			part := CASE WHEN k <= half THEN 1 ELSE 2 END;
			radix := CASE WHEN code <= 57 THEN 10 ELSE 26 END;
			size[part] := size[part] * radix;
			fits := size[part] < 1000000000;
			EXIT WHEN NOT fits;
			x := x * radix + CASE WHEN code <= 57 THEN code - 48 WHEN code <= 90 THEN code - 65 ELSE code - 97 END;
		END LOOP;
	END IF;
	IF fits THEN
		x := cowfs_mask.permute(x, size[1], size[2]);
	END IF;
	FOR k IN REVERSE length(v) .. 1 LOOP
		c := substr(v, k, 1);
		code := ascii(c);
		IF code BETWEEN 48 AND 57 OR code BETWEEN 65 AND 90 OR code BETWEEN 97 AND 122 THEN
			radix := CASE WHEN code <= 57 THEN 10 ELSE 26 END;
			IF fits THEN
				d := x % radix;
				x := x / radix;
			ELSE
				IF h = '' THEN
					h := encode(sha256(convert_to(current_setting('cowfs.salt') || k || 's' || v, getdatabaseencoding())), 'hex');
				END IF;
				d := ('x' || right(h, 4))::bit(16)::int % radix;
				h := left(h, -4);
			END IF;
			s := chr(d + CASE WHEN code <= 57 THEN 48 WHEN code <= 90 THEN 65 ELSE 97 END) || s;
		ELSIF code > 127 THEN
			s := chr(97 + (cowfs_mask.n(k || 'o' || v) % 26)::int) || s;
		ELSE
			s := c || s;
		END IF;
	END LOOP;
	RETURN s;
END $$;

-- The letters and digits of `template` one after another replaced by those of `with_these`.
CREATE FUNCTION cowfs_mask.fill(template text, with_these text) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
	s text := '';
	at int := 1;
	c text;
BEGIN
	FOR k IN 1 .. length(template) LOOP
		c := substr(template, k, 1);
		IF strpos('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', c) > 0 THEN
			s := s || substr(with_these, at, 1);
			at := at + 1;
		ELSE
			s := s || c;
		END IF;
	END LOOP;
	RETURN s || substr(with_these, at);
END $$;

CREATE FUNCTION cowfs_mask.email(v text, most int, domain text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
BEGIN
	IF v = '' THEN
		RETURN v;
	END IF;
	RETURN 'user_' || cowfs_mask.digits(v, greatest(1, least(18, most - 6 - length(domain)))) || '@' || domain;
END $$;

CREATE FUNCTION cowfs_mask.first_name(v text, most int, only_one boolean) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
	names CONSTANT text[] := '{Ada,Alan,Alice,Amir,Ana,Anton,Aylin,Ben,Bianca,Boris,Carla,Cem,Chloe,Clara,Dana,David,Diego,Dora,Edgar,Elena,Elias,Emma,Erik,Eva,Fatima,Felix,Finn,Flora,Frida,Georg,Grace,Greta,Hana,Hugo,Ida,Igor,Ines,Ivan,Jana,Jonas,Julia,Kai,Karim,Karin,Lara,Leo,Lena,Lin,Luca,Lucy,Maja,Marco,Maria,Max,Mei,Mila,Nadia,Nils,Nina,Noah,Olga,Omar,Oskar,Paula,Petra,Pia,Rafael,Rosa,Ruth,Sami,Sara,Simon,Sofia,Stella,Sven,Tara,Theo,Tim,Tina,Umar,Vera,Viktor,Wanda,Yara,Yusuf,Zoe}'::text[];
	h bigint := cowfs_mask.n('f' || v);
BEGIN
	IF v = '' THEN
		RETURN v;
	END IF;
	IF only_one THEN
		RETURN right(names[1 + h % array_length(names, 1)] || ' ' || cowfs_mask.digits(v, 15), most);
	END IF;
	RETURN left(names[1 + h % array_length(names, 1)], most);
END $$;

CREATE FUNCTION cowfs_mask.last_name(v text, most int, only_one boolean) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
	names CONSTANT text[] := '{Abbott,Adler,Ahmed,Albers,Almeida,Bach,Baker,Barros,Becker,Berg,Bianchi,Blum,Brandt,Braun,Brooks,Carter,Castro,Chen,Clark,Costa,Cruz,Dahl,Demir,Diaz,Dixon,Dubois,Eberle,Ellis,Engel,Fischer,Fontaine,Foster,Frank,Fuchs,Garcia,Gomez,Graf,Gray,Haas,Hansen,Hartmann,Hayes,Hoffmann,Horvat,Huber,Ivanov,Jansen,Jensen,Kaiser,Kaya,Keller,Khan,Klein,Koch,Kovac,Krause,Kumar,Lang,Larsen,Lopez,Maier,Marino,Martin,Mason,Meyer,Moreau,Morris,Neumann,Nguyen,Novak,Olsen,Ortiz,Palmer,Park,Pereira,Perez,Peters,Popov,Reed,Ricci,Richter,Rossi,Roth,Ruiz,Sanders,Santos,Schmid,Schulz,Silva,Singh,Sommer,Stein,Suzuki,Tanaka,Torres,Vargas,Vogel,Wagner,Walker,Weber,Winter,Wolf,Wong,Yilmaz,Ziegler,Zimmer}'::text[];
	h bigint := cowfs_mask.n('l' || v);
BEGIN
	IF v = '' THEN
		RETURN v;
	END IF;
	IF only_one THEN
		RETURN right(names[1 + h % array_length(names, 1)] || ' ' || cowfs_mask.digits(v, 15), most);
	END IF;
	RETURN left(names[1 + h % array_length(names, 1)], most);
END $$;

CREATE FUNCTION cowfs_mask.name(v text, most int, only_one boolean) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT CASE WHEN v = '' THEN v WHEN v IS NULL THEN NULL
		WHEN only_one THEN right(cowfs_mask.first_name(v, 99, false) || ' ' || cowfs_mask.last_name(v, 99, true), most)
		ELSE left(cowfs_mask.first_name(v, 99, false) || ' ' || cowfs_mask.last_name(v, 99, false), most) END
$$;

CREATE FUNCTION cowfs_mask.company(v text, most int, only_one boolean) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT CASE WHEN v = '' THEN v WHEN v IS NULL THEN NULL
		WHEN only_one THEN right(cowfs_mask.last_name(v, 99, true) || ' ' || (ARRAY['Ltd', 'GmbH', 'Inc', 'SA', 'BV'])[1 + cowfs_mask.n('c' || v) % 5], most)
		ELSE left(cowfs_mask.last_name(v, 99, false) || ' & ' || cowfs_mask.last_name('&' || v, 99, false) || ' ' ||
			(ARRAY['Ltd', 'GmbH', 'Inc', 'SA', 'BV'])[1 + cowfs_mask.n('c' || v) % 5], most) END
$$;

CREATE FUNCTION cowfs_mask.city(v text, most int, only_one boolean) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
	names CONSTANT text[] := '{Ashford,Bellmont,Brookhaven,Cedarville,Clearwater,Crestwood,Eastport,Fairview,Glenwood,Greenfield,Harborough,Hillcrest,Kingsbridge,Lakeside,Maplewood,Marlow,Milford,Northfield,Oakdale,Parkstone,Queensbury,Ridgeway,Riverton,Rosewood,Southgate,Springfield,Stonebridge,Sunnyvale,Westbrook,Wexham,Willowdale,Woodstock}'::text[];
BEGIN
	IF v = '' THEN
		RETURN v;
	END IF;
	RETURN right(names[1 + cowfs_mask.n('y' || v) % array_length(names, 1)] || CASE WHEN only_one THEN ' ' || cowfs_mask.digits(v, 15) ELSE '' END, most);
END $$;

CREATE FUNCTION cowfs_mask.address(v text, most int, only_one boolean) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT CASE WHEN v = '' THEN v WHEN v IS NULL THEN NULL
		ELSE left((1 + cowfs_mask.n('h' || v) % CASE WHEN only_one THEN 100000000000000 ELSE 240 END) || ' ' || cowfs_mask.last_name('a' || v, 99, false) || ' ' ||
			(ARRAY['Street', 'Road', 'Lane', 'Avenue', 'Square', 'Way'])[1 + cowfs_mask.n('w' || v) % 6], most) END
$$;

-- +999 is no country. The grouping of what follows the first three digits stays; of one that must be the only
-- one of its kind, the whole shape.
CREATE FUNCTION cowfs_mask.phone(v text, most int, only_one boolean) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
	kept text := regexp_replace(v, '[^0-9 ./-]', '', 'g');
	digits int := length(regexp_replace(v, '[^0-9]', '', 'g'));
BEGIN
	IF v = '' THEN
		RETURN v;
	END IF;
	IF only_one THEN
		RETURN '+999 ' || cowfs_mask.shape(v);
	END IF;
	IF digits < 7 THEN
		RETURN left('+999' || cowfs_mask.digits(v, 7), most);
	END IF;
	RETURN left('+999' || cowfs_mask.fill(regexp_replace(kept, '^[^0-9]*([0-9][^0-9]*){3}', ''), cowfs_mask.digits(v, digits - 3)), most);
END $$;

-- 400000 begins the test numbers that are published; the last digit is the check digit.
CREATE FUNCTION cowfs_mask.card(v text, most int, only_one boolean) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
	count int := length(regexp_replace(v, '[^0-9]', '', 'g'));
	s text;
	sum int := 0;
	d int;
BEGIN
	IF v = '' THEN
		RETURN v;
	END IF;
	IF only_one AND most >= 19 THEN
		count := 19;
	ELSIF count < 12 OR count > 19 THEN
		count := 16;
	END IF;
	s := '400000' || cowfs_mask.digits(v, count - 7);
	FOR k IN 1 .. count - 1 LOOP
		d := substr(s, count - k, 1)::int;
		IF k % 2 = 1 THEN
			d := d * 2;
			d := d - CASE WHEN d > 9 THEN 9 ELSE 0 END;
		END IF;
		sum := sum + d;
	END LOOP;
	RETURN cowfs_mask.fill(regexp_replace(v, '[A-Za-z]', '', 'g'), s || (10 - sum % 10) % 10);
END $$;

CREATE FUNCTION cowfs_mask.iban(v text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
	bare text := upper(regexp_replace(v, '[^0-9A-Za-z]', '', 'g'));
	country text := CASE WHEN bare ~ '^[A-Z]{2}' THEN left(bare, 2) ELSE 'DE' END;
	size int := CASE WHEN length(bare) BETWEEN 15 AND 34 THEN length(bare) ELSE 22 END;
	account text;
	rest int;
BEGIN
	IF v = '' THEN
		RETURN v;
	END IF;
	account := rpad(left('00000000', size - 4 - least(10, size - 8)) || cowfs_mask.digits(v, size - 4), size - 4, '0');
	rest := ((account || (ascii(left(country, 1)) - 55) || (ascii(right(country, 1)) - 55) || '00')::numeric % 97)::int;
	RETURN cowfs_mask.fill(v, country || lpad((98 - rest)::text, 2, '0') || account);
END $$;

-- Words that mean nothing, as long as the original.
CREATE FUNCTION cowfs_mask.text(v text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
	words CONSTANT text := 'lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua ut enim ad minim veniam quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur excepteur sint occaecat cupidatat non proident sunt in culpa qui officia deserunt mollit anim id est laborum '; -- 438 characters
	size CONSTANT int := length(v);
	at CONSTANT int := cowfs_mask.n('t' || v) % 438;
BEGIN
	RETURN rpad(substr(words, at + 1, size), size, words);
END $$;

-- Days from -most to most, never none.
CREATE FUNCTION cowfs_mask.days(key text, most int) RETURNS int LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT ((1 + cowfs_mask.n('s' || key) % most) * CASE WHEN cowfs_mask.n('g' || key) % 2 = 0 THEN 1 ELSE -1 END)::int
$$;

-- A factor from 1 - part to 1 + part.
CREATE FUNCTION cowfs_mask.noise(key text, part float8) RETURNS float8 LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT 1 + part * ((cowfs_mask.n('o' || key) % 2000001) / 1000000.0 - 1)
$$;

CREATE FUNCTION cowfs_mask.ip(v text) RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
	SELECT CASE WHEN v LIKE '%:%' THEN 'fd00::' || to_hex((cowfs_mask.n('6' || v) % 65536)::int) || ':' || to_hex((cowfs_mask.n('7' || v) % 65536)::int) || ':' || to_hex((cowfs_mask.n('8' || v) % 65536)::int)
		ELSE '10.' || cowfs_mask.n('1' || v) % 256 || '.' || cowfs_mask.n('2' || v) % 256 || '.' || (1 + cowfs_mask.n('3' || v) % 254) END
$$;

CREATE FUNCTION cowfs_mask.partial(v text, front int, pad text, back int) RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
	SELECT CASE WHEN length(v) <= front + back THEN pad ELSE left(v, front) || pad || right(v, back) END
$$;

-- Keys stay, texts and numbers go. Addresses of mail become such addresses.
CREATE FUNCTION cowfs_mask.json(j jsonb, domain text) RETURNS jsonb LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
	v text;
BEGIN
	CASE jsonb_typeof(j)
	WHEN 'object' THEN
		RETURN (SELECT coalesce(jsonb_object_agg(key, cowfs_mask.json(value, domain)), '{}') FROM jsonb_each(j));
	WHEN 'array' THEN
		RETURN (SELECT coalesce(jsonb_agg(cowfs_mask.json(value, domain) ORDER BY i), '[]') FROM jsonb_array_elements(j) WITH ORDINALITY AS e(value, i));
	WHEN 'string' THEN
		v := j #>> '{}';
		RETURN to_jsonb(CASE WHEN v LIKE '%_@_%' THEN cowfs_mask.email(v, 200, domain) WHEN v LIKE '% %' THEN cowfs_mask.text(v) ELSE cowfs_mask.shape(v) END);
	WHEN 'number' THEN
		RETURN to_jsonb(cowfs_mask.shape(j #>> '{}')::numeric);
	ELSE
		RETURN j;
	END CASE;
END $$;

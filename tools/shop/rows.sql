-- SPDX-License-Identifier: Apache-2.0
-- One batch of rows. Run with psql -v batch=0, 1, 2, ...: each adds 1,000 customers, 20,000 orders
-- and 60,000 order lines. The same batch always makes the same rows.
insert into customers
select c, 'Customer ' || c, 'customer' || c || '@shop.example', 'Company ' || c % 400,
       (array['Berlin', 'Lyon', 'Porto', 'Oslo', 'Graz'])[1 + c % 5],
       timestamptz '2024-01-01 00:00+00' + c * interval '5 minutes'
from generate_series(:batch * 1000 + 1, (:batch + 1) * 1000) c;

insert into orders
select o, :batch * 1000 + 1 + o % 1000, timestamptz '2024-06-01 00:00+00' + o * interval '70 seconds',
       (array['open', 'paid', 'shipped', 'returned'])[1 + o % 4],
       case when o % 10 = 0 then 'Please deliver to the back door, order ' || o end
from generate_series(:batch * 20000 + 1, (:batch + 1) * 20000) o;

insert into order_lines
select o, l, 1 + (o * 7 + l * 13) % 1000, 1 + o % 4, round((5 + (o + l) % 97 * 1.37)::numeric, 2)
from generate_series(:batch * 20000 + 1, (:batch + 1) * 20000) o, generate_series(1, 3) l;

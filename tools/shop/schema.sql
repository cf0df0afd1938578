-- SPDX-License-Identifier: Apache-2.0
-- A small shop: who buys, what there is, and what was bought.
create table customers (
  id          integer primary key,
  name        text not null,
  email       text not null unique,
  company     text not null,
  city        text not null,
  created_at  timestamptz not null
);

create table products (
  id     integer primary key,
  name   text not null,
  price  numeric(10, 2) not null check (price > 0)
);

create table orders (
  id           integer primary key,
  customer_id  integer not null references customers,
  placed_at    timestamptz not null,
  status       text not null check (status in ('open', 'paid', 'shipped', 'returned')),
  note         text
);

create table order_lines (
  order_id    integer not null references orders,
  line        smallint not null,
  product_id  integer not null references products,
  quantity    integer not null check (quantity > 0),
  price       numeric(10, 2) not null,
  primary key (order_id, line)
);

insert into products
select p, 'Product ' || p, round((5 + p % 97 * 1.37)::numeric, 2)
from generate_series(1, 1000) p;

-- SPDX-License-Identifier: Apache-2.0
-- The migration that is tried on a branch: customers get an organization.
begin;
create table organizations (
  id    integer generated always as identity primary key,
  name  text not null unique
);
insert into organizations (name) select distinct company from customers order by company;
alter table customers add column organization_id integer references organizations;
update customers c set organization_id = o.id from organizations o where o.name = c.company;
alter table customers alter column organization_id set not null;
create index customers_organization_id on customers (organization_id);
commit;

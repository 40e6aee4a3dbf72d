-- Fleetline: machines as rows beside your accounts.
--
-- Run this in psql, in the Supabase SQL editor, or as a migration of the Supabase CLI. Running it
-- again changes nothing that is there. Your table of accounts stays as it is. Deleting an account
-- deletes its machines.
--
-- Afterwards a machine is a row of @machines@. Deleting the row deletes the machine, in
-- whatever way you do it: the machine is cut off at once and told, and stays deleted until it comes
-- with another key of its account, or the row is inserted again.

begin;

-- 1. The machines. An account's id is of the type it has in your own table.

do $$
declare
  ours constant text[] := array['id', 'account_id', 'hwid', 'key_digest', 'name', 'hostname', 'os', 'arch', 'cpu_cores',
    'ram_bytes', 'version', 'enrolled_at', 'last_seen_at', 'online'];
  id_type text;
begin
  if to_regclass(@machines_literal@) is null then
    select format_type(a.atttypid, a.atttypmod) into strict id_type
      from pg_attribute a where a.attrelid = @accounts_literal@::regclass and a.attname = @id_literal@ and not a.attisdropped;
    execute replace($sql$
      create table @machines@ (
        id            text collate "C" primary key,
        account_id    ID_TYPE not null references @accounts@ (@id@) on delete cascade on update cascade,
        hwid          text not null,        -- chosen by the machine; empty: the account's default machine
        key_digest    text not null,        -- SHA-256 of the key it came with last
        name          text,                 -- yours to set; empty: the hostname is shown
        hostname      text,
        os            text,
        arch          text,
        cpu_cores     bigint,
        ram_bytes     bigint,
        version       text,
        enrolled_at   timestamptz not null default now(),
        last_seen_at  timestamptz,
        online        boolean not null default false,
        unique (account_id, hwid)
      )
    $sql$, 'ID_TYPE', id_type);
  elsif (select count(*) from pg_attribute a where a.attrelid = to_regclass(@machines_literal@) and a.attname = any (ours)
         and not a.attisdropped) < array_length(ours, 1) then
    raise exception 'there is a table % already, and it is not Fleetline''s: name another one in the settings', @machines_literal@;
  end if;
end $$;

-- 2. The deletions. Triggers write them in the transaction that deletes; nobody else needs to.

create table if not exists @deletions@ (
  machine_id  text collate "C" primary key,
  account_id  text not null,
  hwid        text not null,
  under       text[] not null,                -- SHA-256 of the keys it stays deleted for
  asked       boolean not null default false, -- through Fleetline's own API or commands
  deleted_at  timestamptz not null default clock_timestamp(),
  cascaded    boolean not null default false, -- it went together with its account
  machine     jsonb not null                  -- as it was
);

create index if not exists fleetline_deletions_place on @deletions@ (account_id, hwid);

-- Row-level security without a policy: only the owner and roles that bypass it see anything. To let
-- your users list and delete their machines, add a policy to @machines@.
alter table @machines@ enable row level security;
alter table @deletions@ enable row level security;

-- 3. What the functions below share.

-- A text as an id or a key, if it can be one. What cannot is null: not found, never an error.
drop function if exists @schema@.fleetline_as_id(text);
create function @schema@.fleetline_as_id(value text) returns @accounts@.@id@%type
  language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $$
declare
  result @accounts@.@id@%type;
begin
  result := value; -- here, where what fails is caught
  return result;
exception when data_exception or integrity_constraint_violation then
  return null;
end $$;

drop function if exists @schema@.fleetline_as_key(text);
create function @schema@.fleetline_as_key(value text) returns @accounts@.@key@%type
  language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $$
declare
  result @accounts@.@key@%type;
begin
  result := value; -- here, where what fails is caught
  return result;
exception when data_exception or integrity_constraint_violation then
  return null;
end $$;

create or replace function @schema@.fleetline_digest(key text) returns text
  language sql immutable strict set search_path = pg_catalog, pg_temp as $$
  select encode(sha256(convert_to(key, 'UTF8')), 'hex')
$$;

-- An answer that might miss rows is none: a replica lags, and row-level security hides.
create or replace function @schema@.fleetline_guard() returns void
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if pg_is_in_recovery() then
    raise exception using errcode = 'FL002', message = 'this server is a replica, not the primary';
  elsif row_security_active(@accounts_literal@) or row_security_active(@machines_literal@) or row_security_active(@deletions_literal@) then
    raise exception using errcode = 'FL002', message = 'row-level security may hide rows from role ' || current_user;
  elsif current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'FL002', message = 'transactions must be read committed here, not ' || current_setting('transaction_isolation');
  end if;
end $$;

create or replace function @schema@.fleetline_machine(m @machines@) returns jsonb
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object(
    'id', m.id, 'account_id', m.account_id::text, 'hwid', m.hwid, 'key_digest', m.key_digest, 'name', m.name,
    'hostname', m.hostname, 'os', m.os, 'arch', m.arch, 'cpu_cores', m.cpu_cores, 'ram_bytes', m.ram_bytes,
    'version', m.version, 'enrolled_at', m.enrolled_at, 'last_seen_at', m.last_seen_at)
$$;

create or replace function @schema@.fleetline_deleted(d @deletions@) returns jsonb
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('verdict', 'deleted', 'machine', d.machine || jsonb_build_object('deleted_at', d.deleted_at))
$$;

-- 4. Triggers that keep the deletions. They run with their owner's rights: whoever may delete a
-- machine need not be able to write here.

create or replace function @schema@.fleetline_record_deletion() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  key text;
  cascaded boolean;
begin
  select u.@key@::text into key from @accounts@ u where u.@id@ = old.account_id;
  cascaded := not found;
  insert into @deletions@ (machine_id, account_id, hwid, under, asked, cascaded, machine)
    values (old.id, old.account_id::text, old.hwid, array[coalesce(@schema@.fleetline_digest(key), old.key_digest)],
      coalesce(current_setting('fleetline.asked', true), '') = 'on', cascaded, @schema@.fleetline_machine(old))
    on conflict (machine_id) do update set account_id = excluded.account_id, hwid = excluded.hwid, under = excluded.under,
      asked = excluded.asked, cascaded = excluded.cascaded, deleted_at = excluded.deleted_at, machine = excluded.machine;
  return null;
end $$;

create or replace function @schema@.fleetline_record_truncation() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into @deletions@ (machine_id, account_id, hwid, under, machine)
    select m.id, m.account_id::text, m.hwid, array[coalesce(@schema@.fleetline_digest(u.@key@::text), m.key_digest)],
      @schema@.fleetline_machine(m)
    from @machines@ m left join @accounts@ u on u.@id@ = m.account_id
    on conflict (machine_id) do nothing;
  return null;
end $$;

create or replace function @schema@.fleetline_forget_deletion() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from @deletions@ d where d.machine_id = new.id;
  return null;
end $$;

-- Puts a deleted machine back in its place, if that is free.
create or replace function @schema@.fleetline_restore(d @deletions@) returns void
  language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  insert into @machines@ (id, account_id, hwid, key_digest, name, hostname, os, arch, cpu_cores, ram_bytes, version, enrolled_at, last_seen_at)
    values (d.machine_id, @schema@.fleetline_as_id(d.account_id), d.hwid, d.machine ->> 'key_digest', d.machine ->> 'name',
      d.machine ->> 'hostname', d.machine ->> 'os', d.machine ->> 'arch', (d.machine ->> 'cpu_cores')::bigint,
      (d.machine ->> 'ram_bytes')::bigint, d.machine ->> 'version', (d.machine ->> 'enrolled_at')::timestamptz,
      (d.machine ->> 'last_seen_at')::timestamptz)
    on conflict do nothing;
end $$;

-- An account that is deleted and inserted again in one transaction has not been deleted, and neither
-- have its machines.
create or replace function @schema@.fleetline_undo_cascade() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform from @accounts@ u where u.@id@ = @schema@.fleetline_as_id(new.account_id);
  if found then
    perform @schema@.fleetline_restore(d) from @deletions@ d where d.machine_id = new.machine_id;
  end if;
  return null;
end $$;

drop trigger if exists fleetline_undo_cascade on @deletions@;
create constraint trigger fleetline_undo_cascade after insert on @deletions@ deferrable initially deferred
  for each row when (new.cascaded) execute function @schema@.fleetline_undo_cascade();
alter table @deletions@ enable always trigger fleetline_undo_cascade;

drop trigger if exists fleetline_deleted on @machines@;
create trigger fleetline_deleted after delete on @machines@
  for each row execute function @schema@.fleetline_record_deletion();
drop trigger if exists fleetline_truncated on @machines@;
create trigger fleetline_truncated before truncate on @machines@
  for each statement execute function @schema@.fleetline_record_truncation();
drop trigger if exists fleetline_inserted on @machines@;
create trigger fleetline_inserted after insert on @machines@
  for each row execute function @schema@.fleetline_forget_deletion();
drop trigger if exists fleetline_renamed_from on @machines@;
create trigger fleetline_renamed_from after update on @machines@
  for each row when (old.id is distinct from new.id) execute function @schema@.fleetline_record_deletion();
drop trigger if exists fleetline_renamed_to on @machines@;
create trigger fleetline_renamed_to after update on @machines@
  for each row when (old.id is distinct from new.id) execute function @schema@.fleetline_forget_deletion();
alter table @machines@
  enable always trigger fleetline_deleted, enable always trigger fleetline_truncated, enable always trigger fleetline_inserted,
  enable always trigger fleetline_renamed_from, enable always trigger fleetline_renamed_to;

-- 5. Functions that Fleetline calls. Over PostgREST a key is in the body of such a call and in no URL.

create or replace function @schema@.fleetline_accounts_by_key(keys text[]) returns table (id text, apikey text)
  language plpgsql stable set search_path = pg_catalog, @schema@, extensions, pg_temp as $$
begin
  perform @schema@.fleetline_guard();
  return query select u.@id@::text, u.@key@::text from
    (select k.key, @schema@.fleetline_as_key(k.key) as value from unnest(keys) as k (key) offset 0) asked -- offset: once for each
    join @accounts@ u on u.@key@ = asked.value where u.@key@::text = asked.key;
end $$;

create or replace function @schema@.fleetline_accounts_by_id(ids text[]) returns table (id text, apikey text)
  language plpgsql stable set search_path = pg_catalog, @schema@, extensions, pg_temp as $$
begin
  perform @schema@.fleetline_guard();
  return query select u.@id@::text, u.@key@::text from
    (select k.id, @schema@.fleetline_as_id(k.id) as value from unnest(ids) as k (id) offset 0) asked
    join @accounts@ u on u.@id@ = asked.value where u.@id@::text = asked.id;
end $$;

create or replace function @schema@.fleetline_version(ask jsonb) returns jsonb
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  perform @schema@.fleetline_guard();
  return jsonb_build_object('version', @version@);
end $$;

-- {"ids": [...]}: for each id, in order, what is known of it.
create or replace function @schema@.fleetline_machines_by_id(ask jsonb) returns jsonb
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  perform @schema@.fleetline_guard();
  return (select coalesce(jsonb_agg(case
      when m.id is not null then jsonb_build_object('verdict', 'found', 'machine', @schema@.fleetline_machine(m))
      when d.machine_id is not null then @schema@.fleetline_deleted(d)
      else jsonb_build_object('verdict', 'not found') end order by asked.place), '[]')
    from jsonb_array_elements_text(ask -> 'ids') with ordinality as asked (id, place)
    left join @machines@ m on m.id = asked.id
    left join @deletions@ d on d.machine_id = asked.id);
end $$;

-- One enrolment. What is known by its id is that machine; otherwise the hwid counts, and without one
-- it is the account's default machine.
create or replace function @schema@.fleetline_enrol_one(e jsonb) returns jsonb
  language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  account text := e ->> 'account_id';
  digest text := e ->> 'key_digest';
  place text := e ->> 'hwid';
  m @machines@;
  d @deletions@;
  lives boolean;
begin
  if @schema@.fleetline_as_id(account)::text is distinct from account then
    return jsonb_build_object('verdict', 'unavailable'); -- no account has such an id
  end if;
  select * into m from @machines@ x where x.id = e ->> 'machine_id' and x.account_id::text = account;
  if found then
    place := m.hwid;
  else
    select * into d from @deletions@ x where x.machine_id = e ->> 'machine_id' and x.account_id = account;
    if found and digest = any (d.under) then
      return @schema@.fleetline_deleted(d);
    elsif found and place = '' then
      place := d.hwid;
    end if;
  end if;
  for attempt in 1 .. 3 loop
    select * into m from @machines@ x where x.account_id = @schema@.fleetline_as_id(account) and x.hwid = place;
    lives := found;
    -- The default machine is many with one key: those with a key it was deleted under stay deleted,
    -- also when another key has made a new one.
    if not lives or place = '' then
      select * into d from @deletions@ x where x.account_id = account and x.hwid = place and digest = any (x.under)
        order by x.deleted_at desc, x.machine_id limit 1;
      if found then
        return @schema@.fleetline_deleted(d);
      end if;
    end if;
    if lives then
      update @machines@ x set key_digest = digest where x.id = m.id and x.key_digest <> digest;
      return jsonb_build_object('verdict', 'found', 'machine', @schema@.fleetline_machine(m));
    end if;
    begin
      insert into @machines@ (id, account_id, hwid, key_digest, hostname, os, arch, cpu_cores, ram_bytes, version)
        values (e ->> 'new_id', @schema@.fleetline_as_id(account), place, digest, e ->> 'hostname', e ->> 'os', e ->> 'arch',
          (e ->> 'cpu_cores')::bigint, (e ->> 'ram_bytes')::bigint, e ->> 'version')
        on conflict do nothing returning * into m;
      if found then
        -- Insert, then check: a machine that was enrolled and deleted since this began has left its record.
        perform from @deletions@ x where x.account_id = account and x.hwid = place and digest = any (x.under);
        if found then
          raise exception using errcode = 'FL001';
        end if;
        return jsonb_build_object('verdict', 'found', 'machine', @schema@.fleetline_machine(m));
      end if;
    exception
      when sqlstate 'FL001' then null; -- the next attempt says so
      when foreign_key_violation or not_null_violation then
        return jsonb_build_object('verdict', 'unavailable'); -- there is no such account (any more)
    end;
  end loop;
  return jsonb_build_object('verdict', 'unavailable');
end $$;

-- {"enrolments": [...]}: an answer for each, in order. They are done in the order of their places, so
-- that two calls at once do not wait for each other.
create or replace function @schema@.fleetline_enrol(ask jsonb) returns jsonb
  language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  answers jsonb[] := array_fill(null::jsonb, array[jsonb_array_length(ask -> 'enrolments')]);
  one record;
begin
  perform @schema@.fleetline_guard();
  for one in select x.e, x.place from jsonb_array_elements(ask -> 'enrolments') with ordinality as x (e, place)
      order by x.e ->> 'account_id', x.e ->> 'hwid', x.place loop
    answers[one.place] := @schema@.fleetline_enrol_one(one.e);
  end loop;
  return to_jsonb(answers);
end $$;

-- {"news": [...]}: of machines that exist. Others are passed over: news bring nobody back.
create or replace function @schema@.fleetline_seen(ask jsonb) returns jsonb
  language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform @schema@.fleetline_guard();
  perform from @machines@ m where m.id in (select x ->> 'id' from jsonb_array_elements(ask -> 'news') x) order by m.id for no key update;
  update @machines@ m set
      last_seen_at = greatest(m.last_seen_at, (x ->> 'at')::timestamptz), online = (x ->> 'online')::boolean,
      hostname = case when x ? 'info' then x #>> '{info,hostname}' else m.hostname end,
      os = case when x ? 'info' then x #>> '{info,os}' else m.os end,
      arch = case when x ? 'info' then x #>> '{info,arch}' else m.arch end,
      cpu_cores = case when x ? 'info' then (x #>> '{info,cpu_cores}')::bigint else m.cpu_cores end,
      ram_bytes = case when x ? 'info' then (x #>> '{info,ram_bytes}')::bigint else m.ram_bytes end,
      version = case when x ? 'info' then x #>> '{info,version}' else m.version end
    from jsonb_array_elements(ask -> 'news') x where m.id = x ->> 'id';
  return '{}';
end $$;

-- {"installation": "..."}: nobody is connected to it, for it has just begun.
create or replace function @schema@.fleetline_reset_online(ask jsonb) returns jsonb
  language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform @schema@.fleetline_guard();
  update @machines@ m set online = false where m.online and starts_with(m.id, 'mch_' || (ask ->> 'installation') || '_');
  return '{}';
end $$;

-- {"id": "..."}: deletes a machine; again is nothing.
create or replace function @schema@.fleetline_delete_machine(ask jsonb) returns jsonb
  language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  verdict text;
begin
  perform @schema@.fleetline_guard();
  perform set_config('fleetline.asked', 'on', true);
  delete from @machines@ m where m.id = ask ->> 'id';
  perform set_config('fleetline.asked', '', true);
  select case when count(*) > 0 then 'deleted' else 'not found' end into verdict
    from @deletions@ d where d.machine_id = ask ->> 'id';
  return jsonb_build_object('verdict', verdict);
end $$;

-- {"account_id": "..."}: deletes all machines of an account.
create or replace function @schema@.fleetline_delete_machines_of(ask jsonb) returns jsonb
  language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform @schema@.fleetline_guard();
  perform set_config('fleetline.asked', 'on', true);
  delete from @machines@ m where m.account_id = @schema@.fleetline_as_id(ask ->> 'account_id') and m.account_id::text = ask ->> 'account_id';
  perform set_config('fleetline.asked', '', true);
  return '{}';
end $$;

-- {"id": "..."}: takes a deletion back, unless another machine is in its place.
create or replace function @schema@.fleetline_readmit(ask jsonb) returns jsonb
  language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  d @deletions@;
  other text;
begin
  perform @schema@.fleetline_guard();
  select * into d from @deletions@ x where x.machine_id = ask ->> 'id';
  if not found then
    perform from @machines@ m where m.id = ask ->> 'id';
    return jsonb_build_object('verdict', case when found then 'found' else 'not found' end);
  end if;
  perform @schema@.fleetline_restore(d);
  select m.id into other from @machines@ m where m.account_id = @schema@.fleetline_as_id(d.account_id) and m.hwid = d.hwid;
  return jsonb_build_object('verdict', case when other = d.machine_id then 'found' else 'replaced' end, 'by', other);
exception when foreign_key_violation or not_null_violation then
  return jsonb_build_object('verdict', 'no account');
end $$;

-- {"account_id": "..." or null, "after": "...", "limit": n, "deleted": true or false}: in order of id.
create or replace function @schema@.fleetline_list_machines(ask jsonb) returns jsonb
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  perform @schema@.fleetline_guard();
  if (ask ->> 'deleted')::boolean then
    return (select coalesce(jsonb_agg(x.answer -> 'machine' order by x.machine_id), '[]') from (
      select d.machine_id, @schema@.fleetline_deleted(d) as answer from @deletions@ d
        where d.machine_id > ask ->> 'after' and (ask ->> 'account_id' is null or d.account_id = ask ->> 'account_id')
        order by d.machine_id limit (ask ->> 'limit')::bigint) x);
  end if;
  return (select coalesce(jsonb_agg(x.machine order by x.id), '[]') from (
    select m.id, @schema@.fleetline_machine(m) as machine from @machines@ m
      where m.id > ask ->> 'after' and (ask ->> 'account_id' is null or m.account_id = @schema@.fleetline_as_id(ask ->> 'account_id'))
      order by m.id limit (ask ->> 'limit')::bigint) x);
end $$;

-- 6. Who may do this: nobody but the owner and, on Supabase, the service role.

do $$
declare
  f regprocedure;
  r name;
begin
  for f in select p.oid from pg_proc p where p.pronamespace = @schema_literal@::regnamespace and starts_with(p.proname, 'fleetline_') loop
    execute 'revoke all on function ' || f || ' from public';
    for r in select rolname from pg_roles where rolname in ('anon', 'authenticated') loop
      execute 'revoke all on function ' || f || ' from ' || r;
    end loop;
    if exists (select from pg_roles where rolname = 'service_role') then
      execute 'grant execute on function ' || f || ' to service_role';
    end if;
  end loop;
  for r in select rolname from pg_roles where rolname in ('anon', 'authenticated') loop
    execute 'revoke all on table ' || @deletions_literal@ || ' from ' || r;
  end loop;
  if exists (select from pg_roles where rolname = 'service_role') then
    grant select, insert, update, delete on table @machines@, @deletions@ to service_role;
    grant select on table @accounts@ to service_role;
  end if;
end $$;

-- 7. On Supabase: what Realtime tells of. Not the machines: they change with every heartbeat, and
-- too many changes make Realtime drop others, deletions among them.

do $$
declare
  t regclass;
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime' and not puballtables) then
    return;
  end if;
  foreach t in array array[@accounts_literal@::regclass, @deletions_literal@::regclass] loop
    if exists (select from pg_publication_rel pr join pg_publication p on p.oid = pr.prpubid
        where p.pubname = 'supabase_realtime' and pr.prrelid = t) then
      continue;
    end if;
    -- Without a primary key a published table could not be deleted from.
    if exists (select from pg_index i where i.indrelid = t and i.indisprimary) then
      execute 'alter publication supabase_realtime add table ' || t;
    else
      raise warning '% has no primary key, so Realtime cannot tell of its deletions', t;
    end if;
  end loop;
end $$;

notify pgrst, 'reload schema';

commit;

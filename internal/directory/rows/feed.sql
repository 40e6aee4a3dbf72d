-- Fleetline: triggers that tell the gateway of changes at once, by NOTIFY. A message holds the id of
-- a row and never a key; "*" asks for everything to be compared. Running this again changes nothing.
-- Without it the gateway compares every few seconds.

begin;

set local lock_timeout = '3s';
select pg_advisory_xact_lock(hashtext('fleetline feed'));

create or replace function @schema@.fleetline_tell_account() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  channel text := 'fleetline_' || @accounts_literal@::regclass::oid;
  messages text[] := array['*'];
  message text;
begin
  if tg_op = 'DELETE' then
    messages := array['D:' || old.@id@::text];
  elsif tg_op = 'UPDATE' and old.@id@::text = new.@id@::text then
    if old.@key@::text is not distinct from new.@key@::text then
      return null;
    end if;
    messages := array['C:' || new.@id@::text];
  elsif tg_op = 'UPDATE' then -- another id is the end of the one before
    messages := array['D:' || old.@id@::text, 'C:' || new.@id@::text];
  end if;
  foreach message in array messages loop
    perform pg_notify(channel, case when octet_length(message) < 7900 then message else '*' end);
  end loop;
  return null;
end $$;

create or replace function @schema@.fleetline_tell_machine() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  message text := '*';
begin
  if tg_op = 'DELETE' then
    message := 'R:' || old.machine_id; -- it was readmitted
  elsif tg_op <> 'TRUNCATE' then
    message := case when new.asked then 'A:' else 'M:' end || new.machine_id;
  end if;
  perform pg_notify('fleetline_' || @accounts_literal@::regclass::oid, case when octet_length(message) < 7900 then message else '*' end);
  return null;
end $$;

revoke all on function @schema@.fleetline_tell_account(), @schema@.fleetline_tell_machine() from public;

drop trigger if exists fleetline_tell on @accounts@;
create trigger fleetline_tell after delete on @accounts@
  for each row execute function @schema@.fleetline_tell_account();
-- It names no columns: it would keep you from altering their types.
drop trigger if exists fleetline_tell_update on @accounts@;
create trigger fleetline_tell_update after update on @accounts@
  for each row execute function @schema@.fleetline_tell_account();
drop trigger if exists fleetline_tell_truncate on @accounts@;
create trigger fleetline_tell_truncate after truncate on @accounts@
  for each statement execute function @schema@.fleetline_tell_account();
alter table @accounts@
  enable always trigger fleetline_tell, enable always trigger fleetline_tell_update, enable always trigger fleetline_tell_truncate;

do $$
begin
  if to_regclass(@deletions_literal@) is null then
    return; -- the table of machines is not installed
  end if;
  drop trigger if exists fleetline_tell on @deletions@;
  create trigger fleetline_tell after insert or update or delete on @deletions@
    for each row execute function @schema@.fleetline_tell_machine();
  drop trigger if exists fleetline_tell_truncate on @deletions@;
  create trigger fleetline_tell_truncate after truncate on @deletions@
    for each statement execute function @schema@.fleetline_tell_machine();
  alter table @deletions@ enable always trigger fleetline_tell, enable always trigger fleetline_tell_truncate;
end $$;

comment on function @schema@.fleetline_tell_account() is '@mark@';

commit;

// Drives a Supabase project with the official client and demands what that client shows its users.
// The project is the stand-in: what passes here is what the stand-in may claim to be.
//
//   node client.js URL      keys come in SUPABASE_KEYS, as JSON
//
// A line "do drop" on standard output asks the test to cut all sockets of Realtime.
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import WebSocket from "ws";

const url = process.argv[2];
const keys = JSON.parse(process.env.SUPABASE_KEYS);
const patience = 30_000;

const odd = [
  `k,"()\\ %&+'*`,
  `"quoted"`,
  `\\`,
  `in.(1,2)`,
  `a)b`,
  `' OR ''='`,
  `%25`,
  `a b`,
  `*`,
  `K€y-鍵-🔑`,
  `tab\tand\nline`,
  `null`,
  `{"a":1}`,
  `not.eq.x`,
  `#?;`,
  `plain`,
];

function connect(key, realtime = {}) {
  return createClient(url, key, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    realtime: { transport: WebSocket, ...realtime },
  });
}

// until waits for what can be seen.
async function until(what, isTrue) {
  const end = Date.now() + patience;
  while (!isTrue()) {
    assert.ok(Date.now() < end, `${what} did not happen`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

// ok is the data of an answer that is no error.
function ok({ data, error, status }, wantStatus) {
  assert.equal(error, null);
  assert.equal(status, wantStatus);
  return data;
}

async function fails(answer, status, want) {
  const { data, error, status: got } = await answer;
  assert.equal(data, null);
  assert.equal(got, status);
  for (const [field, value] of Object.entries(want)) assert.equal(error[field], value);
}

async function rows(key) {
  const db = connect(key);
  const users = () => db.from("user");
  ok(await users().delete().neq("name", ""), 204);
  assert.equal(ok(await users().insert(odd.map((o) => ({ apikey: o, name: o }))), 201), null);
  const all = ok(await users().select("*"), 200);
  assert.equal(all.length, odd.length);
  const [first] = all;
  const quoted = (text) => `"${text.replace(/[\\"]/g, "\\$&")}"`;

  // The trap: the filter never arrives.
  assert.equal(ok(await users().select().eq("apikey", "nobody"), 200).length, odd.length);
  for (const o of odd) {
    assert.deepEqual(
      ok(
        await users()
          .select("apikey")
          .or(`and(apikey.eq.${quoted(o)})`),
        200,
      ),
      [{ apikey: o }],
    );
    assert.deepEqual(ok(await users().select("apikey").eq("name", o), 200), [{ apikey: o }]);
    assert.deepEqual(
      ok(await db.rpc("find", { keys: [o, "nobody"] }), 200).map((u) => u.apikey),
      [o],
    );
  }
  // The client puts marks around what has a comma or a parenthesis and escapes no marks inside.
  const plain = odd.filter((o) => !/["\\]/.test(o));
  assert.equal(ok(await users().select().in("name", plain), 200).length, plain.length);
  assert.deepEqual(ok(await users().select().in("id", []), 200), []);

  const { count, data } = await users().select("*", { count: "exact", head: true });
  assert.deepEqual([count, data], [odd.length, null]);
  const page = await users().select("id", { count: "exact" }).order("name", { ascending: false }).range(2, 4);
  assert.deepEqual([page.status, page.count, page.data.length], [206, odd.length, 3]);
  await fails(users().select("*", { count: "exact" }).range(100, 101), 416, { code: "PGRST103" });
  const after = ok(await users().select("id").order("id").gt("id", first.id).limit(1000), 200);
  assert.equal(after.length, all.filter((u) => u.id > first.id).length);

  assert.deepEqual(ok(await users().select().eq("id", first.id).single(), 200), first);
  assert.equal(ok(await users().select().eq("name", "nobody").maybeSingle(), 200), null);
  await fails(users().select().eq("name", "nobody").single(), 406, {
    code: "PGRST116",
    message: "Cannot coerce the result to a single JSON object",
    details: "The result contains 0 rows",
  });
  await fails(users().select().single(), 406, {
    code: "PGRST116",
    details: `The result contains ${odd.length} rows`,
  });

  const made = ok(await users().insert({ apikey: "made", name: "made" }).select().single(), 201);
  assert.equal(made.apikey, "made");
  const merged = ok(
    await users()
      .upsert(
        [
          { apikey: "made", name: "again" },
          { apikey: "new", name: "new" },
        ],
        { onConflict: "apikey" },
      )
      .select(),
    201,
  );
  assert.deepEqual(
    merged.map((u) => [u.id === made.id, u.name]),
    [
      [true, "again"],
      [false, "new"],
    ],
  );
  assert.deepEqual(
    ok(
      await users()
        .upsert({ apikey: "made", name: "once" }, { onConflict: "apikey", ignoreDuplicates: true })
        .select(),
      201,
    ),
    [],
  );
  assert.equal(ok(await users().upsert({ id: made.id, name: "by id" }).select().single(), 200).name, "by id");
  assert.equal(
    ok(await users().update({ name: "changed" }).eq("id", made.id).select().single(), 200).name,
    "changed",
  );
  assert.deepEqual(ok(await users().update({ name: "x" }).eq("name", "nobody").select(), 200), []);
  assert.equal(ok(await users().delete().eq("id", made.id).select().single(), 200).id, made.id);
  assert.equal(ok(await users().delete().eq("name", "nobody"), 204), null);

  await fails(users().insert({ apikey: "plain", name: "x" }), 409, {
    code: "23505",
    details: "Key (apikey)=(plain) already exists.",
  });
  await fails(users().insert({ nothing: 1 }), 400, { code: "PGRST204" });
  await fails(users().select("nothing"), 400, { code: "42703" });
  await fails(users().select().eq("id", "no uuid"), 400, { code: "22P02" });
  await fails(db.from("nothing").select(), 404, { code: "PGRST205" });
  await fails(db.rpc("nothing", { a: 1 }), 404, { code: "PGRST202" });
  await fails(db.schema("secret").from("user").select(), 406, { code: "PGRST106" });
  assert.equal(ok(await db.rpc("total"), 200), odd.length + 1);
}

async function strangers() {
  for (const key of [keys.Anon, keys.Publishable]) {
    const db = connect(key);
    assert.deepEqual(ok(await db.from("user").select(), 200), []);
    await fails(db.from("user").insert({ apikey: "x" }), 401, { code: "42501" });
  }
  await fails(connect("sb_secret_wrong").from("user").select(), 401, { message: "Invalid API key" });
}

async function changes(key, vsn) {
  const heard = [];
  const beats = [];
  const db = connect(key, {
    vsn,
    heartbeatIntervalMs: 300,
    heartbeatCallback: (status) => beats.push(status),
  });
  assert.equal(db.realtime.vsn, vsn);
  // What changed shortly before the subscription may be read after it: it is told too.
  const events = (id) =>
    heard
      .filter((h) => h.kind === "event")
      .map((h) => h.value)
      .filter((e) => (e.new.id ?? e.old.id) === id);
  const count = (kind) => heard.filter((h) => h.kind === kind).length;
  const channel = db
    .channel("changes")
    .on("postgres_changes", { event: "*", schema: "public", table: "user" }, (value) =>
      heard.push({ kind: "event", value }),
    )
    .on("postgres_changes", { event: "DELETE", schema: "public", table: "user" }, (value) =>
      heard.push({ kind: "deleted", value }),
    )
    .on("system", {}, (value) => heard.push({ kind: "system", value }))
    .subscribe((status) => heard.push({ kind: status }));
  await until("system ok", () => count("system") > 0);
  assert.deepEqual(heard[0], { kind: "SUBSCRIBED" });
  const { extension, status, message } = heard[1].value;
  assert.deepEqual(
    { extension, status, message },
    { extension: "postgres_changes", status: "ok", message: "Subscribed to PostgreSQL" },
  );

  const user = ok(
    await db
      .from("user")
      .insert({ apikey: `live ${vsn} ${key}`, name: "live" })
      .select()
      .single(),
    201,
  );
  await until("INSERT", () => events(user.id).length === 1);
  ok(await db.from("user").update({ name: "changed" }).eq("id", user.id), 204);
  await until("UPDATE", () => events(user.id).length === 2);
  ok(await db.from("user").delete().eq("id", user.id), 204);
  await until("DELETE", () => events(user.id).length === 3);
  const [inserted, updated, deleted] = events(user.id);
  for (const e of events(user.id)) {
    assert.deepEqual([e.schema, e.table, e.errors], ["public", "user", null]);
    assert.match(e.commit_timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  }
  assert.deepEqual([inserted.eventType, inserted.new, inserted.old], ["INSERT", user, {}]);
  assert.deepEqual(
    [updated.eventType, updated.new, updated.old],
    ["UPDATE", { ...user, name: "changed" }, { id: user.id }],
  );
  assert.deepEqual([deleted.eventType, deleted.new, deleted.old], ["DELETE", {}, { id: user.id }]);
  assert.equal(heard.filter((h) => h.kind === "deleted" && h.value.old.id === user.id).length, 1);
  await until("a heartbeat", () => beats.includes("ok"));

  const before = count("system");
  console.log("do drop");
  await until("a rejoin", () => count("system") > before);
  assert.ok(count("CHANNEL_ERROR") > 0);
  const back = ok(
    await db
      .from("user")
      .insert({ apikey: `back ${vsn} ${key}`, name: "back" })
      .select()
      .single(),
    201,
  );
  await until("an event after the rejoin", () => events(back.id).length === 1);
  assert.equal(await db.removeChannel(channel), "ok");
  assert.equal(count("CLOSED"), 1);
  await db.realtime.disconnect();
}

async function notPublished() {
  const db = connect(keys.Secret);
  const heard = [];
  db.channel("other")
    .on("postgres_changes", { event: "*", schema: "public", table: "other" }, () => {})
    .on("system", {}, (value) => heard.push(value.status))
    .subscribe((status) => heard.push(status));
  await until("a system error", () => heard.length > 1);
  assert.deepEqual(heard, ["SUBSCRIBED", "error"]);
  await db.removeAllChannels();
}

for (const key of [keys.Secret, keys.ServiceRole]) {
  await rows(key);
  for (const vsn of ["1.0.0", "2.0.0"]) await changes(key, vsn);
}
await strangers();
await notPublished();
console.log("done");
process.exit(0); // the client keeps timers

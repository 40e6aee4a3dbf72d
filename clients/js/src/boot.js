import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";

// processBoot stands in for the system's boot id where there is none.
const processBoot = randomBytes(16);

/**
 * Differs between two systems that run at once, as copies of one do. It is hashed with the hwid, so that
 * nobody can find the same system elsewhere by it; the Go SDK makes the same of the same system.
 */
export async function bootId(hwid, file = "/proc/sys/kernel/random/boot_id" /* Linux */) {
  const id = await readFile(file).catch(() => "");
  return createHash("sha256").update(id.length ? id : processBoot).update(hwid).digest("hex").slice(0, 32);
}

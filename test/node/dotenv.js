// Prints what Node's dotenv reads from the .env file on standard input, as JSON.
import { readFileSync } from "node:fs";
import dotenv from "dotenv";

process.stdout.write(JSON.stringify(dotenv.parse(readFileSync(0))));

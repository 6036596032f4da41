import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildCore } from "./build.ts";

// Run by the build: puts the core beside the compiled code, where load.ts finds it.
writeFileSync(fileURLToPath(new URL("./core.wasm", import.meta.url)), buildCore());

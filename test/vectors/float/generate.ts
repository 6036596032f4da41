/**
 * Makes test/vectors/float/float.vec.br anew on this machine's processor, which must have FMA, F16C and AVX2. Needs gcc.
 * usage: npx tsx test/vectors/float/generate.ts [cases per form] [seed] [file]
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { floatForms } from "./forms.ts";

const [cases = "24", seed = "6230183", file = join(import.meta.dirname, "float.vec.br")] = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), "vectors-"));
try {
	const program = join(work, "record");
	execFileSync("gcc", ["-O1", "-Wall", "-Wextra", "-o", program, join(import.meta.dirname, "record.c")]);
	const lines = floatForms().map(({ name, wide, lanes, immediate, bytes }) => {
		const code = Buffer.from(bytes).toString("hex");
		return { short: `${lanes} ${Number(immediate)} ${code}`, long: `${lanes} ${Number(immediate)} ${Number(wide)} ${code} ${name}` };
	});
	const input = lines.map(({ short }) => `${short}\n`).join("");
	const records = execFileSync(program, [seed, cases], { input, maxBuffer: 1 << 30 });
	const model = /^model name\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown";
	const head = [`${seed} ${cases} ${lines.length} ${model}`, ...lines.map(({ long }) => long), ""].join("\n");
	const options = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 22 } };
	writeFileSync(file, brotliCompressSync(Buffer.concat([Buffer.from(head), records]), options));
} finally {
	rmSync(work, { recursive: true });
}

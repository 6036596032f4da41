/** Compresses the generator's files: `pack.ts <folder of .vec> <folder for .vec.br>`. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const [from = ".", to = "."] = process.argv.slice(2);
for (const name of readdirSync(from).filter((name) => name.endsWith(".vec"))) {
	const plain = readFileSync(join(from, name));
	const packed = brotliCompressSync(plain, {
		params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 22 },
	});
	writeFileSync(join(to, `${name}.br`), packed);
}

import { basename, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { loadSymbols } from "../../../src/debug/symbols/load-symbols.ts";
import { describeWith } from "../../support/guest-files.ts";
import { run, workFolder, writeProgram } from "./toolchain.ts";

const folder = workFolder();

/** How programs are compiled and linked, by what is particular about them. */
const BUILDS: Readonly<Record<string, readonly string[]>> = {
	"DWARF 2, 32-bit": ["-m32", "-gdwarf-2", "-O1", "-static"],
	"DWARF 3, 64-bit, not optimised": ["-gdwarf-3", "-O0", "-static"],
	"DWARF 4, 32-bit, position-independent": ["-m32", "-gdwarf-4", "-O2", "-pie", "-fPIE"],
	"DWARF 5, 64-bit, position-independent": ["-gdwarf-5", "-O2", "-pie", "-fPIE"],
	"DWARF 5, sections per function, unused ones thrown away": [
		...["-gdwarf-5", "-O2", "-static", "-ffunction-sections", "-Wl,--gc-sections"],
	],
	"DWARF 5, compressed": ["-gdwarf-5", "-gz=zlib", "-O2", "-static"],
	"DWARF 4, compressed in the old way": [
		"-gdwarf-4",
		"-Wa,--compress-debug-sections=zlib-gnu",
		"-Wl,--compress-debug-sections=zlib-gnu",
		"-O2",
		"-static",
	],
	"DWARF 5 in its 64-bit format": ["-gdwarf-5", "-gdwarf64", "-O1", "-static"],
	"DWARF 5, not linked yet": ["-gdwarf-5", "-O2", "-r"],
	"DWARF 4, not linked yet, 32-bit": ["-m32", "-gdwarf-4", "-O2", "-r"],
	"linked for the upper half": [
		"-gdwarf-5",
		"-O1",
		"-static",
		"-fno-pic",
		"-no-pie",
		"-mcmodel=kernel",
		"-Wl,-Ttext=0xffffffff81000000",
	],
};
const BUILT = Object.entries(BUILDS);

const file = (name: string): string => `${name.replace(/[^\w]+/g, "-")}.elf`;

function build(name: string, words: readonly string[]): void {
	const common = ["-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fcf-protection=none", "-Wl,--build-id=none"];
	run(folder, "gcc", ...common, ...words, "main.c", "sub/other.c", "-o", file(name));
}

interface Row {
	readonly address: bigint;
	readonly file: string;
	readonly line: number;
}

/** Every row that has code, as objdump prints it. */
function decodedLines(path: string): Row[] {
	const text = run(folder, "objdump", "--dwarf=decodedline", path);
	return Array.from(
		text.matchAll(/^(\S+)\s+(\d+)\s+(0x[0-9a-f]+|0)(?:\[\d+\])?(?:\s.*)?$/gm),
		([, name, line, address]) => ({
			...{ address: BigInt(address ?? 0), file: basename(name ?? ""), line: Number(line) },
		}),
	);
}

const text = ({ address, file, line }: Row): string => `${address.toString(16)} ${basename(file)}:${line}`;

describeWith(["gcc"], "an ELF file", () => {
	beforeAll(() => writeProgram(folder));

	describe.each(BUILT)("with %s", (name, words) => {
		const path = join(folder, file(name));
		const isLinked = !words.includes("-r");

		beforeAll(() => build(name, words));

		test("has the line rows that objdump prints, each and no more", () => {
			const { contents } = loadSymbols(path);
			const rows = Array.from(contents.lines?.allRows() ?? []).filter(({ isEnd }) => !isEnd);
			const wanted = decodedLines(path).filter(({ address }) =>
				contents.extents.some((e) => address >= e.first && address < e.end),
			);
			expect(rows.length).toBeGreaterThan(20);
			// objdump shows sections that are not linked yet one over the other.
			if (isLinked) expect(rows.map(text).sort()).toEqual(wanted.map(text).sort());
		});

		// addr2line does not know the 64-bit format, and of sections that are not linked yet looks at the first.
		const isKnown = isLinked && !words.includes("-gdwarf64");
		if (isKnown)
			test("says of its code what addr2line says", () => {
				const symbols = loadSymbols(path);
				const rows = Array.from(symbols.contents.lines?.allRows() ?? []);
				const addresses = rows.flatMap(({ address }) => [address, address + 1n, address + 2n]);
				const asked = addresses.map((address) => `0x${address.toString(16)}`);
				const answers = run(folder, "addr2line", "-e", path, ...asked)
					.trimEnd()
					.split("\n");
				const ours = addresses.map((address) => {
					const place = symbols.at(address);
					return place?.line === undefined ? "?" : `${basename(place.file ?? "")}:${place.line}`;
				});
				// Between two functions it still names the file.
				const theirs = answers.map((answer) =>
					/\?$|:0$/.test(answer) ? "?" : basename(answer.replace(/ \(.*\)$/, "")),
				);
				expect(ours).toEqual(theirs);
			});

		test("has the symbols that nm prints, from their first byte to their last, and their lines", () => {
			const symbols = loadSymbols(path);
			const { contents } = symbols;
			const lines = run(folder, "nm", "-S", path).matchAll(/^([0-9a-f]+) ([0-9a-f]+) [A-Za-z] (\S+)$/gm);
			const named = Array.from(lines, ([, address, size, name = ""]) => ({
				...{ name, address: BigInt(`0x${address}`), size: Number(`0x${size}`) },
			}));
			expect(named.map(({ name }) => name)).toEqual(
				expect.arrayContaining(["_start", "middle", "leaf", "other", "counter", "zero"]),
			);
			for (const { name, address, size } of named) {
				const first = isLinked ? address : contents.symbols.named(name)!.address;
				expect(symbols.at(first)).toMatchObject({ symbol: name, offset: 0 });
				expect(symbols.at(first + BigInt(size - 1))).toMatchObject({ symbol: name, offset: size - 1 });
			}
			const middle = symbols.at(contents.symbols.named("middle")!.address);
			expect(middle).toMatchObject({ file: "main.c", line: 12, module: basename(path, ".elf") });
			const other = symbols.at(contents.symbols.named("other")!.address);
			expect(other?.file).toBe("sub/other.c");
		});

		if (isLinked)
			test("is found where it is loaded, and nowhere else", () => {
				const [linked, moved] = [loadSymbols(path), loadSymbols(path, { address: 0x1234_5000n })];
				const { start, symbols } = linked.contents;
				const { address } = symbols.named("leaf")!;
				expect(moved.at(address - start + 0x1234_5000n)).toEqual(linked.at(address));
				expect([moved.at(address), linked.at(address - start + 0x1234_5000n), linked.at(start - 1n)]).toEqual([
					undefined,
					undefined,
					undefined,
				]);
			});
	});
});

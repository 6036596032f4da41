import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { storesOf } from "../../src/cli/flash/firmware-file.ts";
import { parseImage } from "../../src/uefi/image.ts";
import { type Piece, walk } from "../../src/uefi/piece.ts";
import { variableLabel, variablesOf } from "../../src/uefi/variable-store.ts";
import { valueText } from "../../src/uefi/variable-values.ts";
import { fatDisk } from "../support/fat-disk.ts";
import { describeWith } from "../support/guest-files.ts";
import { temporaryFiles } from "../support/tiny-rom.ts";

const file = temporaryFiles();
const bin = fileURLToPath(new URL("../../src/cli/bin.ts", import.meta.url));
/** A boot to the shell takes 3 to 10 s on a machine with nothing else to do. */
const patient = { timeout: 600_000 };
const VENDOR = "d4f51b6e-0c1a-4a53-9c40-1f0c6a3b7a10";

function tsvmm(...words: readonly string[]): string {
	const { status, stdout, stderr } = spawnSync(
		process.execPath,
		["--import", import.meta.resolve("tsx"), bin, ...words],
		{ encoding: "latin1", timeout: 500_000, input: "" },
	);
	expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
	return stdout;
}

const problems = (pieces: readonly Piece[]): string[] => [...walk(pieces)].flatMap((piece) => piece.problems);
const count = (pieces: readonly Piece[], kind: string, type?: string): number =>
	[...walk(pieces)].filter((piece) => piece.kind === kind && (type === undefined || piece.type === type)).length;

describeWith(["ovmf-code", "ovmf-vars"], "Debian's OVMF as flash images", (code, vars) => {
	test("the code: everything in it is found, also what is packed, and nothing is wrong", () => {
		const { title, pieces } = parseImage(readFileSync(code));
		expect(title).toBe("UEFI firmware");
		expect(problems(pieces)).toEqual([]);
		// PEI and DXE in one packed section, SEC at the end.
		expect(count(pieces, "volume")).toBe(4);
		expect(
			count(pieces, "file", "DXE core") + count(pieces, "file", "PEI core") + count(pieces, "file", "SEC core"),
		).toBe(3);
		const drivers = [...walk(pieces)].filter(({ kind, type }) => kind === "file" && type === "DXE driver");
		expect(drivers.length).toBeGreaterThan(50);
		// Every driver has a name and an image of this processor, but for those that have no code.
		expect(drivers.filter(({ name }) => name === undefined)).toEqual([]);
		const images = [...walk(pieces)].filter(({ type }) => type === "PE32 image");
		expect(new Set(images.map(({ details }) => details["machine"]))).toEqual(new Set(["x86-64", "i386"]));
	});

	test("variables that Microsoft's keys were enrolled in: all states, values and times", () => {
		const image = parseImage(readFileSync(vars.replace(".fd", ".ms.fd")));
		expect(problems(image.pieces)).toEqual([]);
		const [place] = storesOf(image);
		const variables = new Map(variablesOf(place!.store.records).map((one) => [variableLabel(one.guid, one.name), one]));
		const text = (label: string): string => {
			const { guid, name, current } = variables.get(label)!;
			return valueText(guid, name, current!.data);
		};
		expect(text("PK")).toMatch(/^1 X\.509 of /);
		expect(text("ImageSecurityDatabase:db")).toBe("1 X.509 of Microsoft; 1 X.509 of Microsoft");
		expect(text("SecureBootEnable:SecureBootEnable")).toBe("on");
		expect(text("Boot0000")).toMatch(/^"UiApp" Fv\(.*\)\/FvFile\(.*\) \(hidden, application\)$/);
		expect(text("ConOut")).toContain("PciRoot(0x0)/Pci(0x1F,0x0)/Serial(0x0)/Uart(115200,8,N,1)/VenPcAnsi()");
		expect(variables.get("ConOut")?.history.length).toBeGreaterThan(1);
		expect(place!.store.records.filter(({ state }) => state !== "added" && state !== "deleted")).toEqual([]);
	});

	test("whatever is changed in them, they are read to their end", { timeout: 120_000 }, () => {
		const bytes = readFileSync(vars.replace(".fd", ".ms.fd"));
		const change = fc.tuple(fc.nat(0x6000), fc.nat(255));
		fc.assert(
			fc.property(fc.array(change, { minLength: 1, maxLength: 20 }), (changes) => {
				const copy = Uint8Array.from(bytes);
				for (const [at, value] of changes) copy[at] = value;
				const image = parseImage(copy);
				for (const { store } of storesOf(image)) {
					for (const { guid, name, history } of variablesOf(store.records)) {
						for (const { data } of history) expect(typeof valueText(guid, name, data)).toBe("string");
					}
				}
			}),
			{ numRuns: 100 },
		);
	});
});

describe("variables of tsvmm and of the firmware", () => {
	describeWith(["ovmf-code-2m", "ovmf-vars-2m"], "OVMF of 2 MiB", (code, template) => {
		test("each sees what the other has set, after either has cleaned up, and the log tells of it", patient, () => {
			const startup = [
				"echo -off",
				`dmpstore -guid ${VENDOR}`,
				`setvar FromShell -guid ${VENDOR} -bs -rt -nv =L"olleh"`,
				"reset -s",
				"",
			];
			const disk = file("shell.img", fatDisk({ "startup.nsh": startup.join("\r\n") }));
			const vars = join(dirname(disk), "vars.fd");
			copyFileSync(template, vars);
			tsvmm("flash", "vars", vars, "set", `${VENDOR}:FromTool`, "ascii:hello");
			// As many old values as make the store full: tsvmm cleans up once, and then the firmware at its start.
			for (let i = 0; i < 3; i++) {
				const data = (n: number): string => Buffer.alloc(1600, n).toString("hex");
				const rows = Array.from({ length: 32 }, (_, n) => ({ name: "Fill", guid: VENDOR, attr: 7, data: data(n) }));
				tsvmm("flash", "vars", vars, "import", file("fill.json", Buffer.from(JSON.stringify({ variables: rows }))));
			}
			const log = join(dirname(disk), "flash.txt");
			const console = tsvmm(
				...["run", "--flash", `${code},readonly`, "--flash", vars, "--drive", `${disk},readonly`],
				...["--flash-log", log, "--max-instructions", "10G"],
			);
			// "hello" and its end.
			expect(console).toContain("68 65 6C 6C 6F 00");
			expect(tsvmm("flash", "vars", vars, "get", "FromShell")).toContain("olleh");
			expect(tsvmm("flash", "vars", vars, "get", "FromTool")).toBe('"hello"\n');

			const lines = readFileSync(log, "utf8");
			for (const said of ["header", "name and data"]) {
				expect(lines).toMatch(new RegExp(`program \\d+ bytes at 0x[0-9a-f]+: ${said} of variable ${VENDOR}:FromShell`));
			}
			expect(lines).toContain(`state of variable ${VENDOR}:FromShell: added`);
			expect(lines).toMatch(/program 4,096 bytes at 0x10000: spare area, copy of 0x0/);
			expect(lines).toContain("fault-tolerant write: in its place");
			expect(lines).toMatch(/ROMD switches, erased: blocks 0 to 13 once, /);
			expect(problems(parseImage(readFileSync(vars)).pieces)).toEqual([]);
		});
	});
});

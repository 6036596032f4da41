import { describe, expect, test } from "vitest";
import { runMachine } from "../support/run-machine.ts";
import {
	bigReal,
	type Code,
	exit,
	inByte,
	once,
	outByte,
	outLong,
	rdmsr,
	say,
	sayAl,
	storeFar,
	temporaryFiles,
	tinyRom,
	wrmsr,
} from "../support/tiny-rom.ts";

const file = temporaryFiles();

const SYSENTER_ESP = 0x175;
/** Configuration register 0x5A of the host bridge, PAM1. */
const selectPam = outLong(0xcf8, 0x80000058);
const PAM = 0xcfe;

/** Marks board and processor, resets, and says what is left of both marks. */
async function reset(code: Code): Promise<string> {
	const rom = tinyRom([
		...bigReal,
		...once([
			...say("first "),
			...[...selectPam, ...outByte(PAM, 0x33), ...wrmsr(SYSENTER_ESP, 0x44)],
			...code,
			...say("no reset"),
			...exit(1),
		]),
		...say("second "),
		...[...selectPam, ...inByte(PAM), ...sayAl],
		...[...rdmsr(SYSENTER_ESP), ...sayAl],
		...exit(0),
	]);
	const bios = file("rom", rom);
	const { outcome, debugcon } = await runMachine({ bios, memory: "2M", "max-instructions": "1M" });
	expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
	return debugcon.replaceAll(/[^ -~]/g, (byte) => `<${byte.charCodeAt(0).toString(16)}>`);
}

/** lidt of a table without entries, int3 */
const TRIPLE_FAULT: Code = [
	0x66, 0x31, 0xc0, 0xa3, 0x00, 0x06, 0x66, 0xa3, 0x02, 0x06, 0x0f, 0x01, 0x1e, 0x00, 0x06, 0xcc,
];
const SHUTDOWN_CODE = [...outByte(0x70, 0x0f), ...outByte(0x71, 0x05)];

describe("a reset starts the whole machine over", () => {
	test.each<[string, Code]>([
		["reset control, hard", [...outByte(0xcf9, 0x02), ...outByte(0xcf9, 0x06)]],
		["reset control, soft: as QEMU does", outByte(0xcf9, 0x04)],
		["reset control, full", outByte(0xcf9, 0x0e)],
		["keyboard controller, pulse", outByte(0x64, 0xfe)],
		["keyboard controller, output port", [...outByte(0x64, 0xd1), ...outByte(0x60, 0xfe)]],
		["port 92", outByte(0x92, 0x01)],
		["triple fault, with a shutdown code in CMOS", [...SHUTDOWN_CODE, ...TRIPLE_FAULT]],
	])("%s", async (_name, code) => {
		expect(await reset(code)).toBe("first second <0><0>");
	});
});

test("INIT starts the processor over, and keeps its model-specific registers and the board", async () => {
	const initToSelf = [...storeFar(0xfee00310, 0), ...storeFar(0xfee00300, 0x4500)];
	expect(await reset(initToSelf)).toBe("first second 3D");
});

test("a triple fault that nobody waits for ends the run", async () => {
	const bios = file("rom", tinyRom(TRIPLE_FAULT));
	const { outcome } = await runMachine({ bios, memory: "2M" });
	expect(outcome.end).toEqual({ kind: "triple-fault", detail: "at f000:0000000f" });
});

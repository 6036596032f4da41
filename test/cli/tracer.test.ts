import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Messages } from "../../src/cli/messages.ts";
import { Tracer } from "../../src/cli/tracer.ts";
import { machineConfig, type TraceEvent } from "../../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-tracer-"));
afterAll(() => rmSync(folder, { recursive: true }));

const EVENTS: readonly TraceEvent[] = [
	{ category: "ports", event: "out", instructions: 5, timeNs: 1005, fields: { port: "0x03f8", value: "0x41" } },
	{ category: "instructions", event: "done", instructions: 6, timeNs: 1006, fields: { instruction: "mov eax, 1" } },
];

function written(format: "text" | "json"): string {
	const path = join(folder, format);
	const config = machineConfig({ bios: "x", trace: "all", "trace-format": format, "trace-file": path });
	const tracer = new Tracer(config, new Messages((_tone, text) => text), (error) => expect.unreachable(String(error)));
	for (const event of EVENTS) tracer.take(event);
	tracer.close();
	return readFileSync(path, "utf8");
}

describe("Tracer", () => {
	it("writes a line of text for each event, values with spaces in quotes", () => {
		expect(written("text")).toBe(
			'ports: 5 out port=0x03f8 value=0x41\ninstructions: 6 done instruction="mov eax, 1"\n',
		);
	});

	it("writes a line of JSON for each event", () => {
		const lines = written("json").trimEnd().split("\n");
		expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
			EVENTS.map(({ fields, ...rest }) => ({ level: "trace", ...rest, ...fields })),
		);
	});

	it("says which option names a file that cannot be created", () => {
		const config = machineConfig({ bios: "x", trace: "all", "trace-file": join(folder, "no", "file") });
		const create = () => new Tracer(config, new Messages((_tone, text) => text), () => {});
		expect(create).toThrow(/^--trace-file: .*no\/file does not exist|^--trace-file: .*folder/);
	});
});

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Fields, type Json, type JsonObject } from "../conformance/format.ts";
import { replay } from "../conformance/replay.ts";

const file = JSON.parse(readFileSync(new URL("../golden/kvm-golden.json", import.meta.url), "utf8")) as {
	header: JsonObject;
	records: JsonObject[];
};
const header = new Fields(file.header, "header");
/** Not there yet: SSE. */
const open = (record: JsonObject): boolean => (record["features"] as string[] | undefined)?.includes("sse") === true;

describe.each(["interpreter", "compiled"] as const)("what a real /dev/kvm answered, on the %s", (engine) => {
	const kinds = [...new Set(file.records.map((record) => String(record["kind"])))];
	test.each(kinds)(
		"%s",
		async (kind) => {
			const failed: Json[] = [];
			for (const record of file.records) {
				if (record["kind"] !== kind || open(record)) continue;
				const verdict = await replay(record, header, engine);
				if (verdict.kind === "failed") failed.push({ id: record["id"]!, ...(verdict as unknown as JsonObject) });
			}
			expect(failed).toEqual([]);
		},
		60_000,
	);
});

describe("the replayer", () => {
	const base = { id: "x", kind: "x", title: "x", vm: { buffers: [] } };
	const verdict = (changes: JsonObject) => replay({ ...base, steps: [], ...changes }, header, "interpreter");

	test.each<[string, JsonObject]>([
		["an unknown op", { steps: [{ op: "fly" }] }],
		["an unknown field of a step", { steps: [{ op: "checkExtension", cap: 3, wings: 2 }] }],
		["an unknown field of the record", { wings: 2 }],
		["an unknown feature", { features: ["wings"] }],
		["an unknown exit", { steps: [{ op: "run", result: 0, exit: { reason: "wings" } }] }],
		["a wrong answer", { steps: [{ op: "checkExtension", cap: 81, result: 0 }] }],
		["an output that is missing", { steps: [{ op: "getRegs", expect: {} }] }],
	])("%s is a failure", async (_, changes) => {
		expect((await verdict(changes)).kind).toBe("failed");
	});

	test("a quirk is replayed by what was decided, or skipped where nothing was", async () => {
		const wrong = [{ op: "checkExtension", cap: 81, result: 0 }];
		const right = [{ op: "checkExtension", cap: 81, result: 1 }];
		expect(await verdict({ quirk: true, steps: wrong })).toEqual({ kind: "skipped" });
		expect(await verdict({ quirk: true, steps: wrong, deliberate: { why: "", steps: right } })).toEqual({
			kind: "passed",
		});
		expect((await verdict({ quirk: true, steps: right, deliberate: { why: "", steps: wrong } })).kind).toBe("failed");
		expect(await verdict({ steps: right })).toEqual({ kind: "passed" });
	});
});

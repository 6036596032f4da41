import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Expectations, type Verdict } from "../../src/host/expectations.ts";
import { RecordingSink } from "../support/recording-sink.ts";

function watch(wanted: readonly string[], unwanted: readonly string[] = [], streams = 1) {
	const verdicts: Verdict[] = [];
	const expectations = new Expectations(wanted, unwanted, (verdict) => verdicts.push(verdict));
	const sinks = Array.from({ length: streams }, () => new RecordingSink());
	const watched = sinks.map((sink) => expectations.watch(sink));
	const send = (text: string, stream = 0): void => {
		for (const byte of Buffer.from(text)) watched[stream]?.write(byte);
	};
	return { verdicts, expectations, sinks, send };
}

describe("expected texts", () => {
	it("one that appears: decided at its last byte", () => {
		const { verdicts, send } = watch(["login:"]);
		send("welcome\nlogin");
		expect(verdicts).toEqual([]);
		send(":");
		expect(verdicts).toEqual([{ kind: "expected" }]);
	});

	it("several: all must appear, in any order, on any stream", () => {
		const { verdicts, expectations, send } = watch(["one", "two"], [], 2);
		send("two", 1);
		expect([verdicts, expectations.missing]).toEqual([[], ["one"]]);
		send("one", 0);
		expect([verdicts, expectations.missing]).toEqual([[{ kind: "expected" }], []]);
	});

	it("a text spread over two streams has not appeared", () => {
		const { verdicts, send } = watch(["onetwo"], [], 2);
		send("one", 0);
		send("two", 1);
		expect(verdicts).toEqual([]);
	});

	it("one within another: both are found", () => {
		const { verdicts, send } = watch(["device", "bootable device.", "able"]);
		send("No bootable device.");
		expect(verdicts).toEqual([{ kind: "expected" }]);
	});

	it("a false start that is the beginning of the text again: found", () => {
		const { verdicts, send } = watch(["aab"]);
		send("aaab");
		expect(verdicts).toEqual([{ kind: "expected" }]);
	});

	it("the same text twice, and text beyond ASCII: found", () => {
		const { verdicts, send } = watch(["é", "é"]);
		send("né");
		expect(verdicts).toEqual([{ kind: "expected" }]);
	});

	it("agree with String.includes on arbitrary streams", () => {
		const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 5 });
		fc.assert(
			fc.property(
				fc.array(word, { minLength: 1, maxLength: 6 }),
				fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 60 }),
				(texts, stream) => {
					const { expectations, send } = watch(texts);
					send(stream);
					expect(expectations.missing).toEqual(texts.filter((text) => !stream.includes(text)));
				},
			),
		);
	});
});

describe("unwanted texts", () => {
	it("one that appears decides at once, and only once", () => {
		const { verdicts, send } = watch(["ready"], ["panic", "oops"]);
		send("panic: oops, not ready");
		expect(verdicts).toEqual([{ kind: "unwanted", text: "panic" }]);
	});

	it("none that appears: nothing is decided, because nothing was expected", () => {
		const { verdicts, send } = watch([], ["panic"]);
		send("all is well");
		expect(verdicts).toEqual([]);
	});

	it("one that ends at the same byte as the last expected text wins", () => {
		const { verdicts, send } = watch(["nic"], ["panic"]);
		send("panic");
		expect(verdicts).toEqual([{ kind: "unwanted", text: "panic" }]);
	});
});

it("every byte is passed on, whether matched or not", () => {
	const { sinks, send } = watch(["b"]);
	send("abc");
	expect(sinks[0]?.text).toBe("abc");
});

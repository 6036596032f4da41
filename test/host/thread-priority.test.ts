import { execFileSync } from "node:child_process";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";

const file = pathToFileURL("src/host/thread-priority.ts").href;

test.runIf(process.platform === "linux")("the main thread keeps its priority, all others get a lower one", () => {
	const program = `
		import { readdirSync } from "node:fs";
		import { getPriority } from "node:os";
		import { favourMainThread } from ${JSON.stringify(file)};
		favourMainThread();
		const others = readdirSync("/proc/self/task").map(Number).filter((task) => task !== process.pid);
		console.log(JSON.stringify([getPriority(process.pid), [...new Set(others.map((task) => getPriority(task)))]]));
	`;
	const words = ["--import", import.meta.resolve("tsx"), "--input-type=module", "-e", program];
	const [main, others] = JSON.parse(execFileSync(process.execPath, words, { encoding: "utf8" })) as [number, number[]];
	expect(others).toEqual([Math.max(main, 10)]);
	expect(main).toBeLessThan(10);
});

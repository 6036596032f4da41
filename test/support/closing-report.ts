import type { Reporter, TestModule, Vitest } from "vitest/node";

/** Names what was skipped and ends the run with one plain line: how many tests passed and failed. */
export default class ClosingReport implements Reporter {
	private chosenByName = false;

	onInit({ config }: Vitest): void {
		this.chosenByName = config.testNamePattern !== undefined;
	}

	onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
		const skipped: string[] = [];
		let passed = 0;
		// A file that cannot be loaded, or an error outside of every test, is a failure although no test says so.
		let failed = errors.length;
		for (const module of modules) {
			if (module.errors().length > 0) failed++;
			for (const test of module.children.allTests()) {
				const { state } = test.result();
				if (state === "passed") passed++;
				else if (state === "failed") failed++;
				else if (!this.chosenByName) skipped.push(`${module.relativeModuleId} > ${test.fullName}`);
			}
		}
		for (const name of skipped) process.stdout.write(`skipped: ${name}\n`);
		process.stdout.write(`${passed} passed, ${failed} failed\n`);
	}
}

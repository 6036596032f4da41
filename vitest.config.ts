import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		include: ["test/**/*.test.ts"],
		reporters: ["default", "./test/support/closing-report.ts"],
		// Whole guests boot in some tests, on machines that may be busy.
		testTimeout: 180_000,
		hookTimeout: 60_000,
	},
});

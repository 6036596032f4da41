import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { STATUS_MEANINGS } from "../../src/cli/exit-status.ts";
import { defaultText, flagSyntax } from "../../src/cli/help.ts";
import type { Option } from "../../src/config/option.ts";
import { OPTIONS } from "../../src/config/options.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const escaped = (cell: string): string => cell.replaceAll("|", "\\|");
const row = (...cells: readonly string[]): string => `| ${cells.map(escaped).join(" | ")} |`;

/** What `make run` shows on a fresh clone, but for the host time. */
function demo(): string {
	const folder = mkdtempSync(join(tmpdir(), "tsvmm-demo-"));
	try {
		const flash = join(folder, "flash.bin");
		copyFileSync(join(project, "firmware/demo-flash.bin"), flash);
		const words = ["run", "--bios", join(project, "firmware/demo.bin"), "--flash", flash];
		const command = ["--import", import.meta.resolve("tsx"), join(project, "src/cli/bin.ts")];
		const { status, stdout, stderr } = spawnSync(process.execPath, [...command, ...words], {
			encoding: "utf8",
			input: "",
		});
		expect({ status, stderr }).toEqual({
			status: 0,
			stderr: expect.stringContaining("wrote 0 to the debug-exit port"),
		});
		return stdout.replaceAll("\r", "") + stderr.replace(/[^ ]+ m?s of host time/, "… of host time");
	} finally {
		rmSync(folder, { recursive: true });
	}
}

const SECTIONS: Readonly<Record<string, () => string>> = {
	demo: () => `\`\`\`\n${demo()}\`\`\``,
	options: () => {
		const rows = (OPTIONS as readonly Option[]).map((option) =>
			row(`\`${flagSyntax(option)}\``, option.help + defaultText(option)),
		);
		return [row("option", "meaning"), "|---|---|", ...rows].join("\n");
	},
	status: () =>
		[row("status", "meaning"), "|---|---|", ...STATUS_MEANINGS.map(([status, meaning]) => row(status, meaning))].join(
			"\n",
		),
};

it("README shows the demo, the options and the exit statuses as they are (make golden rewrites it)", async () => {
	const readme = readFileSync(join(project, "README.md"), "utf8");
	let derived = readme;
	for (const [name, section] of Object.entries(SECTIONS)) {
		const place = new RegExp(`(<!-- ${name}: [^\n]*-->\n).*?(<!-- /${name} -->)`, "s");
		expect(readme).toMatch(place);
		const text = section();
		derived = derived.replace(place, (_all, begin: string, end: string) => `${begin}${text}\n${end}`);
	}
	await expect(derived).toMatchFileSnapshot("../../README.md");
});
